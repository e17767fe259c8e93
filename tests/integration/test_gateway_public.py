"""Which addresses and methods the front lets through, and how it refuses the others."""

import json
import socket

import pytest

from tests.integration.fronts import Front, request
from tests.integration.standin import error_of
from tests.integration.triton_process import TritonProcess
from tools.catalog.tenant import TENANT_RULE

LIMIT = 64 << 20

PRIVATE = [
    ("POST", "/v2/repository/index"),
    ("POST", "/v2/repository/models/m1/load"),
    ("POST", "/v2/repository/models/m1/unload"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/systemsharedmemory/region/r/register"),
    ("POST", "/v2/cudasharedmemory/region/r/register"),
    ("GET", "/v2/trace/setting"),
    ("POST", "/v2/trace/setting"),
    ("GET", "/v2/models/m1/trace/setting"),
    ("POST", "/v2/models/m1/trace/setting"),
    ("GET", "/v2/logging"),
    ("POST", "/v2/logging"),
    ("POST", "/v2/models/m1/generate"),
    ("POST", "/v2/models/m1/generate_stream"),
    ("GET", "/v2/models/stats"),
    ("GET", "/v2/models"),
    ("GET", "/v2/health"),
    ("GET", "/v2/health/live/more"),
    ("GET", "/metrics"),
    ("GET", "/models"),
    ("POST", "/models/m1/invoke"),
    ("GET", "/ping"),
    ("GET", "/status"),
    ("GET", "/"),
    ("GET", "/nginx_status"),
]

ODD = [
    "/.error",
    "/.unavailable",
    "/v2/models/",
    "/v2/%72epository/index",
    "/v2/repository%2findex",
    "/v2/models/m1/%69nfer",
    "/v2/models/m1%2finfer",
    "/v2/models/m1/../../repository/index",
    "/v2/models/%2e%2e/repository/index",
    "/v2/models/m1/infer/%2e%2e/%2e%2e/%2e%2e/repository/index",
    "/v2/models/m1/infer/../../../repository/index",
    "/v2/repository/index/../../models/m1/infer",
    "/v2/models/m1/./infer",
    "/v2//models/m1/infer",
    "//v2/models/m1/infer",
    "/v2/models//m1/infer",
    "/v2/models/m1/infer/",
    "/v2/models/m1/infer//",
    "/v2/models/m1/infer%00",
    "/v2/models/m1/infer%0a",
    "/v2/models/m1/infer%20",
    "/v2/models/m1/infer.json",
    "/v2/models/m1/infer;x=/v2/repository/index",
    "/v2/models/m1/infer#/v2/repository/index",
    "/v2/models/m1\\..\\repository/infer",
    "/V2/models/m1/infer",
    "/v2/Models/m1/infer",
    "/v2/models/m1/Infer",
    "/v2/models/m1/versions/0/infer",
    "/v2/models/m1/versions/-1/infer",
    "/v2/models/m1/versions/x/infer",
    "/v2/models/m1/versions/12345678901234567890/infer",
    "/v2/models/m1/versions/1/versions/1/infer",
]


@pytest.mark.parametrize(("method", "path"), PRIVATE)
def test_what_is_not_public_is_not_there(front: Front, method: str, path: str) -> None:
    reply = request(front.address, method, path, b"{}" if method == "POST" else None)
    assert reply.status == 404
    error_of(reply.body)
    assert front.sidecar.seen == []


@pytest.mark.parametrize("path", ODD)
def test_an_odd_spelling_reaches_nothing(front: Front, triton_server: TritonProcess, path: str) -> None:
    for method in ("POST", "GET"):
        reply = request(front.address, method, path)
        assert reply.status in {400, 404}
        error_of(reply.body)
        assert reply.body != request(triton_server.http, method, path).body
    assert front.sidecar.seen == []


@pytest.mark.parametrize("tenant", ["M1", "m%201", "-m1", "_m1", ".m1", "m1!", "m\u00e9", "a" * 129])
def test_a_bad_tenant_id_is_told_what_an_id_looks_like(front: Front, tenant: str) -> None:
    with socket.create_connection(_host_port(front)) as client:
        line = f"POST /v2/models/{tenant}/infer HTTP/1.1\r\n"
        client.sendall(line.encode() + b"Host: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        status, body = _read_raw(client)
    assert status == 400
    assert TENANT_RULE in error_of(body)
    assert front.sidecar.seen == []


@pytest.mark.parametrize("tenant", ["m", "0", "a" * 128, "a.b_c-d", "stats", "ready", "infer", "models", "v2"])
def test_every_tenant_id_can_be_called(front: Front, tenant: str) -> None:
    assert front.post(f"/v2/models/{tenant}/infer").status == 200
    assert front.get(f"/v2/models/{tenant}/config").status == 200
    assert len(front.sidecar.seen) == 2


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/m1/infer", "POST"),
        ("PUT", "/v2/models/m1/versions/1/infer", "POST"),
        ("POST", "/v2/models/m1", "GET"),
        ("DELETE", "/v2/models/m1", "GET"),
        ("POST", "/v2/models/m1/config", "GET"),
        ("POST", "/v2/models/m1/stats", "GET"),
        ("POST", "/v2/health/live", "GET"),
        ("POST", "/v2", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(front: Front, method: str, path: str, allowed: str) -> None:
    reply = request(front.address, method, path, b"{}")
    assert reply.status == 405
    assert reply.headers["allow"] == allowed
    assert allowed in error_of(reply.body)
    assert front.sidecar.seen == []


def test_health_and_server_metadata_are_tritons(front: Front) -> None:
    assert front.get("/v2/health/live").status == 200
    assert front.get("/v2/health/ready").status == 200
    assert json.loads(front.get("/v2").body)["name"] == "triton"
    assert front.sidecar.seen == []


def test_a_query_does_not_change_where_a_request_goes(front: Front) -> None:
    assert front.post("/v2/models/m1/infer?a=/../%2e%2e//v2/repository/index").status == 200
    assert [seen.path.split("?")[0] for seen in front.sidecar.seen] == ["/v2/models/m1/infer"]


def test_a_body_over_the_limit_is_refused_before_it_is_sent(front: Front) -> None:
    with socket.create_connection(_host_port(front)) as client:
        client.sendall(f"POST /v2/models/m1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {LIMIT + 1}\r\n\r\n".encode())
        client.settimeout(5)
        status, body = _read_raw(client, whole=False)
    assert status == 413
    assert str(LIMIT) in error_of(body)
    assert front.sidecar.seen == []


def test_a_chunked_body_over_the_limit_is_refused(front: Front) -> None:
    connection = front.connect()
    connection.putrequest("POST", "/v2/models/m1/infer")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for _ in range(LIMIT // (1 << 20) + 1):
        connection.send(chunk)
    response = connection.getresponse()
    assert response.status == 413
    error_of(response.read())
    connection.close()
    assert front.sidecar.seen == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /v2 HTTP/3.0\r\nHost: x\r\n\r\n",
        b"TRACE /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v2/models/m1/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"POST /v2/models/m1/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v2/models/m1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: nine\r\n\r\n",
        b"POST /v2/models/m1/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ],
)
def test_what_is_not_http_gets_a_json_error_too(front: Front, request_bytes: bytes) -> None:
    with socket.create_connection(_host_port(front)) as client:
        client.settimeout(5)
        client.sendall(request_bytes)
        status, body = _read_raw(client, whole=False)
    assert 400 <= status < 600
    error_of(body)
    assert front.sidecar.seen == []


def _host_port(front: Front) -> tuple[str, int]:
    host, port = front.address.split(":")
    return host, int(port)


def _read_raw(client: socket.socket, whole: bool = True) -> tuple[int, bytes]:
    """Status and body; without `whole`, what came until a first complete body."""
    received = b""
    while part := client.recv(65_536):
        received += part
        if not whole and received.rstrip().endswith(b"}"):
            break
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body
