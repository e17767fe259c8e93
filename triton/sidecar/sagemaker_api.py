"""The runtime API of a managed multi-model endpoint, as boto3's "sagemaker-runtime" client speaks it.

Source: the InvokeEndpoint operation of the SageMaker AI Runtime API reference, and botocore's model of it. An error
is a status, its name in `x-amzn-ErrorType`, and a JSON body. What is wrong with a payload is a ModelError, because in
the managed service it is the model's container that finds it; what is wrong with a call is a ValidationError.
"""

import logging
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sidecar.errors import (
    BadInputError,
    BusyError,
    CannotFitError,
    LoadFailedError,
    OverloadedError,
    ServingError,
    StoreUnavailableError,
    TritonUnavailableError,
    UnknownTenantError,
)
from sidecar.http_api import COLD_HEADER, body_of
from sidecar.sagemaker_invocations import Invocations
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

log = logging.getLogger(__name__)

PATH = r"/endpoints/{endpoint:[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}}/invocations"
TARGET_HEADER = "X-Amzn-SageMaker-Target-Model"
ERROR_HEADER = "x-amzn-ErrorType"
# For the gateway, which takes it out: how the model's answers are to be read from now on.
FORM_HEADER = "Orchard-Form"

_ARCHIVE = ".tar.gz"


@dataclass(frozen=True, slots=True)
class AwsError:
    """An error of the runtime API."""

    name: str
    http_status: int


VALIDATION = AwsError("ValidationError", 400)
MODEL = AwsError("ModelError", 424)
NOT_READY = AwsError("ModelNotReadyException", 429)
INTERNAL = AwsError("InternalFailure", 500)
UNAVAILABLE = AwsError("ServiceUnavailable", 503)

_ERRORS: dict[type[ServingError], AwsError] = {
    BadInputError: MODEL,
    UnknownTenantError: VALIDATION,
    CannotFitError: MODEL,
    LoadFailedError: MODEL,
    BusyError: NOT_READY,
    OverloadedError: UNAVAILABLE,
    StoreUnavailableError: UNAVAILABLE,
    TritonUnavailableError: UNAVAILABLE,
}


class SageMakerApi:
    """`POST /endpoints/<any name>/invocations`. The endpoint's name is not used: the node is the endpoint."""

    def __init__(self, invocations: Invocations) -> None:
        self._invocations = invocations

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self._invoke)]

    async def _invoke(self, request: web.Request) -> web.Response:
        try:
            tenant = target_tenant(request.headers.get(TARGET_HEADER))
            invoked = await self._invocations.invoke(tenant, request.headers, await body_of(request))
        except BadTargetError as error:
            return _answer(VALIDATION, str(error))
        except ServingError as error:
            return answer_to(error)
        except web.HTTPRequestEntityTooLarge:
            return _answer(VALIDATION, "the body is larger than this node takes: send fewer rows at a time")
        except ConnectionResetError:
            raise
        except Exception:
            log.exception("a fault of the sidecar at %s", request.path)
            return _answer(INTERNAL, "internal error: see the sidecar's log")
        headers = {"Content-Type": invoked.content_type}
        if invoked.form is not None:
            headers[FORM_HEADER] = invoked.form
        if invoked.origin is not None:
            headers[COLD_HEADER] = invoked.origin.value
        return web.Response(body=invoked.body, headers=headers)


class BadTargetError(ValueError):
    """The target model is missing or cannot be a tenant."""


def target_tenant(target: str | None) -> TenantId:
    """The tenant that a TargetModel means: `m37.tar.gz`, `/m37.tar.gz` and `m37` are all m37.

    Raises:
        BadTargetError: it is none, or names no tenant.
    """
    if not target:
        raise BadTargetError("the call has no target model: pass TargetModel='<tenant>.tar.gz'")
    try:
        return tenant_id(target.removeprefix("/").removesuffix(_ARCHIVE))
    except BadTenantIdError as error:
        raise BadTargetError(f"target model {target[:140]!r} not found: {error}") from None


def answer_to(error: ServingError) -> web.Response:
    """The runtime API's answer to an error of the sidecar."""
    kind = next((_ERRORS[base] for base in type(error).__mro__ if base in _ERRORS), INTERNAL)
    message = str(error)
    if kind is VALIDATION:
        message = f"target model not found: {message}"
    if kind is not MODEL:
        return _answer(kind, message, error.retry_after)
    sort = "client" if error.http_status < 500 else "server"
    body = {
        "Message": f"Received {sort} error ({error.http_status}) from model with message {message!r}",
        "OriginalStatusCode": error.http_status,
        "OriginalMessage": message,
        "LogStreamArn": "",
    }
    return _answer(kind, body, error.retry_after)


def _answer(kind: AwsError, said: str | dict[str, Any], retry_after: int | None = None) -> web.Response:
    headers = {ERROR_HEADER: kind.name}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    body = said if isinstance(said, dict) else {"Message": said}
    return web.json_response(body, status=kind.http_status, headers=headers)
