"""A node with a certificate: HTTPS and gRPC over TLS, at the same ports, and nothing in the clear."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import tritonclient.grpc
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

from tests.integration.certificates import needs_openssl, self_signed
from tests.integration.orchard import Orchard, assert_answers, settings_for
from tests.integration.sagemaker import csv_of, invoke, runtime
from tests.models import train
from tools.access.certificates import Certificate
from tools.cli import app
from tools.stack import Node

pytestmark = needs_openssl


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("tls")
    with Node(settings_for(folder, certificate=certificate)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(a=train("binary:logistic"))
        yield orchard


def test_kserve_is_answered_over_https(orchard: Orchard, certificate: Certificate) -> None:
    assert orchard.node.http_url.startswith("https://")
    assert orchard.ask("a", verify=str(certificate.chain)).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        orchard.ask("a")


def test_boto3_is_answered_over_https(orchard: Orchard, certificate: Certificate) -> None:
    model = orchard.models["a"]
    client = runtime(orchard.node.http_url, verify=str(certificate.chain))
    assert float(invoke(client, "a.tar.gz", csv_of(model.rows[:1]))) == pytest.approx(model.expected()[0], abs=1e-5)


def test_grpc_is_answered_over_tls_and_not_in_the_clear(orchard: Orchard, certificate: Certificate) -> None:
    rows = orchard.models["a"].rows[:3]
    asked = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
    asked.set_data_from_numpy(rows)
    at = orchard.node.grpc_address
    secure = tritonclient.grpc.InferenceServerClient(at, ssl=True, root_certificates=str(certificate.chain))
    assert_answers(orchard.models["a"], rows, secure.infer("a", [asked]).as_numpy("output__0"))
    with pytest.raises(InferenceServerException):
        tritonclient.grpc.InferenceServerClient(at).infer("a", [asked], client_timeout=5)


def test_plain_http_is_told_to_use_https(orchard: Orchard) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{orchard.node.at.http}/v2/health/live", timeout=10)
    assert refused.value.code == 400
    assert b"https://" in refused.value.read()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_what_is_older_than_tls_1_2_is_refused(orchard: Orchard, certificate: Certificate) -> None:
    context = ssl.create_default_context(cafile=str(certificate.chain))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError, match=r"(?i)ssl|protocol|version|alert"):
        urllib.request.urlopen(f"{orchard.node.http_url}/v2/health/live", timeout=10, context=context)


def test_a_certificate_without_its_key_is_refused_before_anything_starts(
    tmp_path: Path, certificate: Certificate
) -> None:
    other = self_signed(tmp_path)
    for options, said in (
        (["--certificate", str(certificate.chain)], "give both"),
        (["--certificate", str(certificate.chain), "--key", str(tmp_path / "none")], "cannot be read"),
        (["--certificate", str(certificate.chain), "--key", str(other.key)], "no certificate and its key"),
    ):
        refused = CliRunner().invoke(app, ["up", "--state", str(tmp_path / "state"), *options])
        assert refused.exit_code == 2
        assert said in refused.output
    assert not (tmp_path / "state").exists()
