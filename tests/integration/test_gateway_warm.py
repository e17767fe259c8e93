"""What the front does with requests for tenants in Triton's memory: it is not noticed, and the sidecar is not asked."""

import gzip
import hashlib
import json
from collections.abc import Iterator

import numpy as np
import pytest

from tests.fil_entries import Entry, checkpoint
from tests.integration.fronts import Front, Reply, read_reply, request
from tests.integration.orchard import binary_call
from tests.integration.standin import error_of
from tests.integration.triton_process import TritonProcess
from tests.models import FEATURES, Rows, Trained, train
from tools.catalog.manifest import MAX_ROWS
from tools.plain_request import CHECKED_HEADER

PATH = "/v2/models/warm/infer"
BINARY = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def model() -> Trained:
    return train("binary:logistic")


@pytest.fixture
def warm(front: Front, triton_server: TritonProcess, model: Trained) -> Iterator[Front]:
    """The front, with the tenant `warm` resident."""
    entry = Entry(features=FEATURES, outputs=2, max_batch_size=4_000_000)
    entry.write(triton_server.repository, "warm", checkpoint(model.booster))
    triton_server.load("warm")
    yield front
    triton_server.unload("warm")


@pytest.mark.parametrize("megabytes", [0, 1])
def test_an_answer_is_tritons_own_byte_for_byte(
    warm: Front, triton_server: TritonProcess, model: Trained, megabytes: int
) -> None:
    rows = np.resize(model.rows, (1 + megabytes * 10**6 // (4 * FEATURES), FEATURES))
    body, headers = binary_call(rows, binary_answer=True)
    through = warm.post(PATH, body, headers)
    direct = request(triton_server.http, "POST", PATH, body, {**headers, CHECKED_HEADER: "yes"})
    assert through.status == 200
    assert through.body == direct.body
    assert through.headers[BINARY.lower()] == direct.headers[BINARY.lower()]
    np.testing.assert_allclose(positives(through)[:200], model.expected(rows[:200]), atol=1e-5)
    assert warm.sidecar.seen == []


@pytest.mark.parametrize("rows_as_lists", [True, False])
def test_the_most_rows_a_call_may_have_are_tritons_in_json_too(
    warm: Front, model: Trained, rows_as_lists: bool
) -> None:
    rows = np.nan_to_num(np.resize(model.rows, (MAX_ROWS, FEATURES)))
    data = (rows if rows_as_lists else rows.ravel()).tolist()
    tensor = {"name": "input__0", "datatype": "FP32", "shape": rows.shape, "data": data}
    reply = warm.post(PATH, json.dumps({"inputs": [tensor]}).encode())
    assert reply.status == 200
    assert json.loads(reply.body)["outputs"][0]["shape"] == [MAX_ROWS, 2]
    assert warm.sidecar.seen == []


def test_a_chunked_call_is_answered(warm: Front, model: Trained) -> None:
    body, headers = binary_call(model.rows, binary_answer=True)
    connection = warm.connect()
    connection.request("POST", PATH, iter([body[:7], body[7:100], body[100:]]), headers, encode_chunked=True)
    np.testing.assert_allclose(positives(read_reply(connection)), model.expected(), atol=1e-5)
    connection.close()
    assert warm.sidecar.seen == []


def test_an_answer_is_compressed_for_who_asks(warm: Front, model: Trained) -> None:
    body, headers = binary_call(model.rows, binary_answer=True)
    reply = warm.post(PATH, body, {**headers, "Accept-Encoding": "gzip"})
    assert reply.headers["content-encoding"] == "gzip"
    unpacked = Reply(reply.status, reply.headers, gzip.decompress(reply.body))
    np.testing.assert_allclose(positives(unpacked), model.expected(), atol=1e-5)
    assert warm.sidecar.seen == []


def test_each_call_runs_once(warm: Front, triton_server: TritonProcess, model: Trained) -> None:
    body, headers = binary_call(model.rows[:1], binary_answer=True)
    connection = warm.connect()
    for _ in range(200):
        connection.request("POST", PATH, body, headers)
        assert read_reply(connection).status == 200
    connection.close()
    assert triton_server.statistics("warm").inference_count == 200


def test_tritons_refusal_of_bad_input_reaches_the_client_and_nobody_else(warm: Front, model: Trained) -> None:
    reply = warm.post(PATH, *binary_call(model.rows[:, :3]))
    assert reply.status == 400
    error_of(reply.body)
    assert warm.sidecar.seen == []


def test_a_body_triton_cannot_parse_is_the_sidecars_to_explain(warm: Front) -> None:
    assert warm.post(PATH, b'{"inputs": [[]}').body == b'{"from": "sidecar"}'
    assert warm.post(PATH, b'{"inputs" []}').body == b'{"from": "sidecar"}'
    assert [seen.length for seen in warm.sidecar.seen] == [15, 13]


@pytest.mark.parametrize("kind", ["huge shape", "deep", "compressed", "too long to look at", "empty"])
def test_what_triton_must_not_read_is_the_sidecars_whole(
    warm: Front, triton_server: TritonProcess, model: Trained, kind: str
) -> None:
    body, headers = binary_call(np.resize(model.rows, (1 + 3 * 10**6 // (4 * FEATURES), FEATURES)))
    if kind == "compressed":
        body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
    elif kind != "too long to look at":
        huge = b'{"inputs": [{"name": "input__0", "datatype": "FP32", "shape": [1000000000000, 6], "data": [1]}]}'
        body, headers = {"huge shape": huge, "deep": b"[" * 1_000_000, "empty": b""}[kind], {}
    pid = triton_server.pid
    assert warm.post(PATH, body, headers).body == b'{"from": "sidecar"}'
    (seen,) = warm.sidecar.seen
    assert (seen.length, seen.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert triton_server.pid == pid
    assert triton_server.statistics("warm").inference_count == 0


def test_triton_reads_nothing_that_has_not_been_looked_at(warm: Front, triton_server: TritonProcess) -> None:
    huge = b'{"inputs": [{"name": "input__0", "datatype": "FP32", "shape": [1000000000000, 6], "data": [1]}]}'
    assert request(triton_server.http, "POST", PATH, huge).status == 403
    assert request(triton_server.http, "POST", PATH, huge, {CHECKED_HEADER: "no"}).status == 403
    # Its word from a client is dropped on the way.
    assert warm.post(PATH, huge, {CHECKED_HEADER: "yes"}).body == b'{"from": "sidecar"}'


def test_metadata_and_statistics_of_a_resident_tenant_are_tritons(warm: Front) -> None:
    assert json.loads(warm.get("/v2/models/warm").body)["platform"] == "fil"
    assert json.loads(warm.get("/v2/models/warm/config").body)["backend"] == "fil"
    assert warm.get("/v2/models/warm/ready").status == 200
    assert warm.get("/v2/models/warm/versions/1/ready").status == 200
    assert json.loads(warm.get("/v2/models/warm/stats").body)["model_stats"][0]["name"] == "warm"
    assert warm.sidecar.seen == []


def test_only_the_resident_version_is_warm(warm: Front, model: Trained) -> None:
    body, headers = binary_call(model.rows, binary_answer=True)
    assert warm.post("/v2/models/warm/versions/1/infer", body, headers).headers.get(BINARY.lower())
    assert warm.sidecar.seen == []
    assert warm.post("/v2/models/warm/versions/2/infer", body, headers).body == b'{"from": "sidecar"}'
    assert warm.get("/v2/models/warm/versions/2").body == b'{"from": "sidecar"}'
    assert [seen.path for seen in warm.sidecar.seen] == [
        "/v2/models/warm/versions/2/infer",
        "/v2/models/warm/versions/2",
    ]


def test_from_the_moment_it_is_evicted_a_tenant_is_the_sidecars(
    warm: Front, triton_server: TritonProcess, model: Trained
) -> None:
    body, headers = binary_call(model.rows, binary_answer=True)
    triton_server.unload("warm")
    for path in (PATH, "/v2/models/warm/versions/1/infer"):
        assert warm.post(path, body, headers).body == b'{"from": "sidecar"}'
    triton_server.load("warm")
    assert warm.post(PATH, body, headers).headers.get(BINARY.lower())
    assert len(warm.sidecar.seen) == 2


def positives(reply: Reply) -> Rows:
    """P(class 1) of each row of a binary answer."""
    assert reply.status == 200, reply.body[:300]
    values = np.frombuffer(reply.body[int(reply.headers[BINARY.lower()]) :], np.float32)
    return values.reshape(-1, 2)[:, 1]
