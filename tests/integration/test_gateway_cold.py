"""What the front does with requests for tenants that are not in Triton's memory."""

import gzip
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.fronts import Front, read_reply
from tests.integration.standin import Answer, error_of

MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 1, 900, 3 * MIB, 40 * MIB, 64 * MIB])
def test_the_sidecar_gets_the_very_body_that_triton_refused(front: Front, size: int) -> None:
    body = os.urandom(size)
    reply = front.post("/v2/models/m1/infer", body)
    assert (reply.status, reply.body) == (200, b'{"from": "sidecar"}')
    (seen,) = front.sidecar.seen
    assert (seen.method, seen.path, seen.length) == ("POST", "/v2/models/m1/infer", size)
    assert seen.sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [900, 3 * MIB, 40 * MIB])
def test_a_chunked_body_arrives_whole_and_with_its_length(front: Front, size: int) -> None:
    body = os.urandom(size)
    connection = front.connect()
    connection.request("POST", "/v2/models/m1/infer", _pieces(body), encode_chunked=True)
    assert read_reply(connection).status == 200
    connection.close()
    (seen,) = front.sidecar.seen
    assert seen.sha256 == hashlib.sha256(body).hexdigest()
    assert seen.headers["content-length"] == str(size)


def test_the_binary_extension_and_compression_pass_through_both_ways(front: Front) -> None:
    binary = {"Inference-Header-Content-Length": "17", "Content-Type": "application/octet-stream"}
    packed = gzip.compress(b"rows")
    front.sidecar.answer = Answer(body=packed, headers={**binary, "Content-Encoding": "gzip"})
    reply = front.post(
        "/v2/models/m1/infer", packed, {**binary, "Content-Encoding": "gzip", "Accept-Encoding": "gzip, deflate"}
    )
    (seen,) = front.sidecar.seen
    for headers in (seen.headers, reply.headers):
        assert headers["inference-header-content-length"] == "17"
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-encoding"] == "gzip"
    assert seen.headers["accept-encoding"] == "gzip, deflate"
    assert seen.sha256 == hashlib.sha256(packed).hexdigest()
    assert reply.body == packed


def test_headers_that_mean_nothing_to_triton_stop_at_the_front(front: Front) -> None:
    front.post("/v2/models/m1/infer", b"{}", {"X-Orchard-Trusted": "1", "X-Forwarded-For": "10.0.0.1", "Cookie": "a=b"})
    (seen,) = front.sidecar.seen
    assert set(seen.headers) <= {"host", "content-length", "accept-encoding", "x-request-id", "orchard-checked"}


@pytest.mark.parametrize(
    "path",
    ["", "/config", "/ready", "/versions/3", "/versions/3/config", "/versions/2026112204150012345/ready"],
)
def test_questions_about_a_tenant_that_is_not_resident_go_to_the_sidecar(front: Front, path: str) -> None:
    reply = front.get(f"/v2/models/m1{path}")
    assert (reply.status, reply.body) == (200, b'{"from": "sidecar"}')
    assert [seen.path for seen in front.sidecar.seen] == [f"/v2/models/m1{path}"]


def test_a_version_in_the_path_falls_back_too(front: Front) -> None:
    assert front.post("/v2/models/m1/versions/7/infer", b"rows").status == 200
    assert [seen.path for seen in front.sidecar.seen] == ["/v2/models/m1/versions/7/infer"]


@pytest.mark.parametrize("status", [400, 404, 500, 503, 507])
def test_the_sidecars_refusal_reaches_the_client_as_it_is(front: Front, status: int) -> None:
    refusal = b'{"error": "no room"}'
    front.sidecar.answer = Answer(status, refusal, {"Content-Type": "application/json", "Retry-After": "7"})
    for reply in (front.post("/v2/models/m1/infer"), front.get("/v2/models/m1")):
        assert (reply.status, reply.body, reply.headers["retry-after"]) == (status, refusal, "7")
    assert len(front.sidecar.seen) == 2


def test_a_large_answer_is_passed_on_without_touching_the_disk(front: Front) -> None:
    front.sidecar.answer = Answer(body=os.urandom(30 * MIB))
    connection = front.connect()
    connection.request("POST", "/v2/models/m1/infer", b"{}")
    response = connection.getresponse()
    time.sleep(0.3)  # time for nginx to spool what the client does not read
    assert not [file for file in front.open_files() if "/responses/" in file]
    assert response.read() == front.sidecar.answer.body
    connection.close()


def test_a_load_goes_on_when_the_client_that_caused_it_leaves(front: Front) -> None:
    front.sidecar.answer = Answer(delay=0.5)
    host, port = front.address.split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /v2/models/m1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        _wait_for(lambda: bool(front.sidecar.seen))
    _wait_for(lambda: front.sidecar.answered == 1)
    assert front.sidecar.abandoned == 0


def test_statistics_of_a_tenant_that_is_not_resident_are_404_and_load_nothing(front: Front) -> None:
    for path in ("/v2/models/m1/stats", "/v2/models/m1/versions/3/stats"):
        reply = front.get(path)
        assert reply.status == 404
        assert "not in memory" in error_of(reply.body)
    assert front.sidecar.seen == []


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 100_003):
        yield body[start : start + 100_003]


def _wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)
