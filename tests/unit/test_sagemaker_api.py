"""TargetModel's spellings, and each error of the sidecar as the one that boto3 raises."""

import json

import pytest
from sidecar.errors import (
    BadInputError,
    BusyError,
    CannotFitError,
    LoadFailedError,
    NotAcceptableError,
    ServingError,
    StoreUnavailableError,
    TritonUnavailableError,
    UnknownTenantError,
    UnsupportedTypeError,
)
from sidecar.sagemaker_api import BadTargetError, answer_to, target_tenant


@pytest.mark.parametrize(
    ("target", "tenant"),
    [
        ("m37.tar.gz", "m37"),
        ("m37", "m37"),
        ("/m37.tar.gz", "m37"),
        ("/m37", "m37"),
        ("m.37-a_b.tar.gz", "m.37-a_b"),
        ("m37.tar", "m37.tar"),
    ],
)
def test_a_target_model_means_the_tenant_it_is_named_for(target: str, tenant: str) -> None:
    assert target_tenant(target) == tenant


@pytest.mark.parametrize("target", ["M37.tar.gz", "folder/m37.tar.gz", "//m37", "..", ".tar.gz", "m 37", "m" * 129])
def test_a_target_that_cannot_be_a_tenant_is_not_found(target: str) -> None:
    with pytest.raises(BadTargetError, match="not found"):
        target_tenant(target)


@pytest.mark.parametrize("target", [None, ""])
def test_a_call_without_a_target_is_told_to_name_one(target: str | None) -> None:
    with pytest.raises(BadTargetError, match="pass TargetModel="):
        target_tenant(target)


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (UnknownTenantError("no"), 400, "ValidationError"),
        (BadInputError("no"), 424, "ModelError"),
        (UnsupportedTypeError("no"), 424, "ModelError"),
        (NotAcceptableError("no"), 424, "ModelError"),
        (LoadFailedError("no"), 424, "ModelError"),
        (CannotFitError("no"), 424, "ModelError"),
        (BusyError("no"), 429, "ModelNotReadyException"),
        (StoreUnavailableError("no"), 503, "ServiceUnavailable"),
        (TritonUnavailableError("no"), 503, "ServiceUnavailable"),
        (ServingError("no"), 500, "InternalFailure"),
    ],
)
def test_an_error_has_its_name_its_status_and_a_message(error: ServingError, status: int, name: str) -> None:
    answer = answer_to(error)
    assert (answer.status, answer.headers["x-amzn-ErrorType"]) == (status, name)
    assert answer.text is not None
    body = json.loads(answer.text)
    assert "no" in body["Message"]
    assert (answer.headers.get("Retry-After") is not None) == (error.retry_after is not None)
    if name == "ModelError":
        assert body["OriginalStatusCode"] == error.http_status
        assert body["OriginalMessage"] == "no"
