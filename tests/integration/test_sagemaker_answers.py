"""Code written for a managed multi-model endpoint works on a node: every type, cold and warm, by both ways through."""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests

from tests.integration.orchard import Orchard, settings_for
from tests.integration.sagemaker import (
    ENDPOINT,
    csv_of,
    front_without_scripting,
    invoke,
    runtime,
    sidecar_stopped,
)
from tests.models import FEATURES, Rows, train
from tools.stack import Node

OBJECTIVES = {
    "fraud": "binary:logistic",
    "classes": "multi:softprob",
    "label": "multi:softmax",
    "amount": "reg:squarederror",
    "visits": "count:poisson",
}


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("sagemaker")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        models = {name: train(kind, **_classes(kind)) for name, kind in OBJECTIVES.items()}
        orchard.publish(**models, big=train("binary:logistic", rounds=300, depth=8))
        yield orchard
        assert "js exception" not in node.log("nginx").read_text()


@pytest.fixture(scope="module")
def plain_url(orchard: Orchard) -> Iterator[str]:
    with front_without_scripting(orchard.node, orchard.folder / "plain") as url:
        yield url


@pytest.fixture(params=["njs", "sidecar"])
def client(request: pytest.FixtureRequest, orchard: Orchard, plain_url: str) -> Any:
    return runtime(orchard.node.http_url if request.param == "njs" else plain_url)


def _classes(objective: str) -> dict[str, int]:
    return {"num_class": 3} if objective.startswith("multi:") else {}


def expected(orchard: Orchard, tenant: str, rows: Rows) -> Rows:
    return orchard.models[tenant].expected(rows)


def as_json(rows: Rows) -> bytes:
    return json.dumps({"instances": [[None if np.isnan(v) else float(v) for v in row] for row in rows]}).encode()


def as_lines(rows: Rows) -> bytes:
    return b"\n".join(json.dumps({"features": [None if v != v else v for v in row]}).encode() for row in rows.tolist())


def as_libsvm(rows: Rows) -> bytes:
    return "\n".join(
        " ".join(["0", *(f"{i}:{v!r}" for i, v in enumerate(row.tolist()) if v == v)]) for row in rows
    ).encode()


def as_npy(rows: Rows) -> bytes:
    file = io.BytesIO()
    np.save(file, rows)
    return file.getvalue()


def from_csv(body: bytes) -> Any:
    return json.loads(b"[" + body + b"]")


def from_json(body: bytes) -> Any:
    return [row["score"] for row in json.loads(body)["predictions"]]


def from_npy(body: bytes) -> Any:
    return np.load(io.BytesIO(body), allow_pickle=False)


TYPES = {
    "text/csv": (csv_of, from_csv),
    "application/json": (as_json, from_json),
    "application/jsonlines": (as_lines, lambda body: [json.loads(line)["score"] for line in body.splitlines()]),
    "text/libsvm": (as_libsvm, from_csv),
    "text/x-libsvm": (as_libsvm, from_csv),
    "application/x-npy": (as_npy, from_npy),
}


@pytest.mark.parametrize("tenant", OBJECTIVES)
@pytest.mark.parametrize("content_type", TYPES)
def test_every_type_is_answered_as_xgboost_predicts(
    orchard: Orchard, client: Any, tenant: str, content_type: str
) -> None:
    write, read = TYPES[content_type]
    for rows in (orchard.models[tenant].rows[:1], orchard.models[tenant].rows[:40]):
        answer = invoke(client, f"{tenant}.tar.gz", write(rows), content_type)
        right = expected(orchard, tenant, rows)
        assert np.shape(read(answer)) == right.shape
        np.testing.assert_allclose(read(answer), right, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("accept", "read"),
    [("text/csv", from_csv), ("application/json", from_json), ("application/x-npy", from_npy), ("*/*", from_csv)],
)
def test_the_answer_is_of_the_type_that_is_accepted(orchard: Orchard, client: Any, accept: str, read: Any) -> None:
    rows = orchard.models["fraud"].rows[:3]
    answer = invoke(client, "fraud", csv_of(rows), Accept=accept)
    np.testing.assert_allclose(read(answer), expected(orchard, "fraud", rows), atol=1e-5)


@pytest.mark.parametrize("target", ["fraud.tar.gz", "fraud", "/fraud.tar.gz", "/fraud"])
def test_a_tenant_may_be_spelt_as_its_archive(orchard: Orchard, client: Any, target: str) -> None:
    rows = orchard.models["fraud"].rows[:1]
    np.testing.assert_allclose(
        from_csv(invoke(client, target, csv_of(rows))), expected(orchard, "fraud", rows), atol=1e-5
    )


def test_the_answer_has_what_boto3_exposes(orchard: Orchard, client: Any) -> None:
    rows = orchard.models["fraud"].rows[:1]
    for _ in range(2):
        answer = client.invoke_endpoint(
            EndpointName=ENDPOINT,
            TargetModel="fraud.tar.gz",
            ContentType="text/csv",
            Body=csv_of(rows),
            TargetVariant="any",
            InferenceId="one",
            CustomAttributes="trace",
        )
        assert answer["ContentType"] == "text/csv"
        assert answer["InvokedProductionVariant"] == "AllTraffic"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert len(answer["ResponseMetadata"]["RequestId"]) == 32
        assert "orchard-form" not in answer["ResponseMetadata"]["HTTPHeaders"]


def test_the_first_call_loads_the_tenant_and_later_ones_find_it(orchard: Orchard, client: Any) -> None:
    rows = orchard.models["big"].rows[:1]
    if "big" in orchard.residents():
        orchard.unload("big")
    loads = orchard.loads()
    answers = {invoke(client, "big.tar.gz", csv_of(rows)) for _ in range(5)}
    assert len(answers) == 1
    np.testing.assert_allclose(from_csv(answers.pop()), expected(orchard, "big", rows), atol=1e-5)
    assert orchard.loads() == loads + 1


def test_three_megabytes_of_csv_are_answered(orchard: Orchard, client: Any) -> None:
    rows = np.tile(orchard.models["amount"].rows, (40, 1))[:8000]
    # Spaces are allowed around a number.
    body = csv_of(rows).replace(b",", b"  ,").ljust(3_000_000, b"\n")
    assert len(body) == 3_000_000
    np.testing.assert_allclose(
        from_csv(invoke(client, "amount", body)), expected(orchard, "amount", rows), rtol=1e-5, atol=1e-5
    )


def test_plain_calls_for_warm_tenants_do_not_need_the_sidecar(orchard: Orchard) -> None:
    client = runtime(orchard.node.http_url)
    asked = [
        (name, write, kind)
        for name in OBJECTIVES
        for write, kind in ((csv_of, "text/csv"), (as_json, "application/json"))
    ]
    batches = [orchard.models["fraud"].rows[start:stop] for start, stop in ((0, 1), (1, 4), (4, 20))]
    for name, _, _ in asked:
        invoke(client, name, csv_of(batches[0]))
    with sidecar_stopped(orchard.node):
        answers = [[invoke(client, name, write(rows), kind) for rows in batches] for name, write, kind in asked]
    for (name, _, kind), given in zip(asked, answers, strict=True):
        for rows, answer in zip(batches, given, strict=True):
            right = expected(orchard, name, rows)
            np.testing.assert_allclose(TYPES[kind][1](answer), right, atol=1e-5, rtol=1e-5)


def odd_rows() -> list[Rows]:
    """Rows of every magnitude that float32 has, some of one, some of many, some with missing values."""
    random = np.random.default_rng(5)
    edges = np.array(
        [0.0, -0.0, 1e-45, -1.2e-38, 1e-7, 1e-4, 0.1, 1.0, 16777216.0, 1e10, 3e15, 1e22, 3.4e38], np.float32
    )
    batches = []
    for number in range(150):
        rows = random.choice(edges, size=(1 + number % 5, FEATURES)) * random.choice([-1, 1], size=(1, FEATURES))
        if number % 2:
            rows = random.normal(size=rows.shape) * 10.0 ** random.integers(-40, 3, size=rows.shape)
        rows = rows.astype(np.float32)
        rows[random.random(rows.shape) < 0.2 * (number % 3)] = np.nan
        batches.append(rows)
    return batches


@pytest.mark.parametrize("accept", ["text/csv", "application/json"])
@pytest.mark.parametrize("tenant", OBJECTIVES)
def test_both_ways_through_a_node_give_the_same_bytes(
    orchard: Orchard, plain_url: str, tenant: str, accept: str
) -> None:
    fast, slow = runtime(orchard.node.http_url), runtime(plain_url)
    for rows in odd_rows():
        body = csv_of(rows)
        given = invoke(slow, tenant, body, Accept=accept)
        assert invoke(fast, tenant, body, Accept=accept) == given, body


SPELLINGS = [
    b"1,2,3,4,5,6",
    b"1,2,3,4,5,6\n",
    b"1,2,3,4,5,6\r\n1,2,3,4,5,6\r\n",
    b",,,,,",
    b",,,,,\n1,2,3,4,5,\n,2,3,4,5,6",
    b"1.,.5,+1,007,1E5,1e+5",
    b" 1, 2,\t3,4,5,6 ",
    b'"1","2","3","4","5","6"',
    b"1;2;3;4;5;6",
    b"-1e-5,1E-45,1e-400,-0,0.0,-0.0",
    b"nan,NaN,1,2,3,4",
    b"0.1000000000000000055511151231257827,12345678901234567890,1,1,1,1",
    b"\n1,2,3,4,5,6\n\n",
]
WRONG = [
    b"1,2,3,4,5",
    b"1,2,3,4,5,6,7",
    b"1,2,3,4,5,6\n1,2,3,4,5",
    b"1,2,3,4,5\n1,2,3,4,5,6,7",
    b"1,2,3\n4,5,6",
    b"1,2,3,4,5,6\n\n1,2,3,4,5,6",
    b"1,2,3,4,5,-",
    b"1,2,3,4,5,1-2",
    b"1,2,3,4,5,1.2.3",
    b"1,2,3,4,5,1e",
    b"1,2,3,4,5,e-5",
    b"1,2,3,4,5,1e39",
    b"1,2,3,4,5," + b"9" * 60,
    b"1,2,3,4,5,inf",
    b"1,2,3,4,5,x",
    b"1,2,3,4,5,0x1F",
    b"1,2,3,4,5,1_0",
    b'1,2,3,4,5],"x":[6',
    b"[1,2,3,4,5,6]",
    b"",
]


@pytest.mark.parametrize("body", SPELLINGS)
def test_spellings_of_csv_mean_the_same_by_both_ways(orchard: Orchard, plain_url: str, body: bytes) -> None:
    fast, slow = runtime(orchard.node.http_url), runtime(plain_url)
    given = invoke(slow, "fraud", body)
    assert invoke(fast, "fraud", body) == given


@pytest.mark.parametrize("body", WRONG)
def test_wrong_csv_is_refused_in_the_same_words_by_both_ways(orchard: Orchard, plain_url: str, body: bytes) -> None:
    orchard.check("fraud")
    messages = set()
    for url in (orchard.node.http_url, plain_url):
        client = runtime(url)
        with pytest.raises(client.exceptions.ModelError) as refusal:
            invoke(client, "fraud", body)
        assert refusal.value.response["OriginalStatusCode"] == 400
        messages.add(refusal.value.response["OriginalMessage"])
    assert len(messages) == 1


def test_kserve_requests_pass_through(orchard: Orchard, client: Any) -> None:
    rows = np.nan_to_num(orchard.models["fraud"].rows[:2])
    right = expected(orchard, "fraud", rows)
    tensor: dict[str, Any] = {"name": "input__0", "shape": list(rows.shape), "datatype": "FP32"}
    body = json.dumps({"inputs": [{**tensor, "data": rows.ravel().tolist()}]}).encode()
    answer = json.loads(invoke(client, "fraud", body, "application/json"))
    np.testing.assert_allclose(np.reshape(answer["outputs"][0]["data"], (2, 2))[:, 1], right, atol=1e-5)

    binary = {**tensor, "parameters": {"binary_data_size": rows.nbytes}}
    outputs = [{"name": "output__0", "parameters": {"binary_data": True}}]
    header = json.dumps({"inputs": [binary], "outputs": outputs}).encode()
    kind = "application/vnd.sagemaker-triton.binary+json;json-header-size="
    reply = client.invoke_endpoint(
        EndpointName=ENDPOINT, TargetModel="fraud", ContentType=f"{kind}{len(header)}", Body=header + rows.tobytes()
    )
    assert reply["ContentType"].startswith(kind)
    data = reply["Body"].read()[int(reply["ContentType"].removeprefix(kind)) :]
    np.testing.assert_allclose(np.frombuffer(data, np.float32).reshape(2, 2)[:, 1], right, atol=1e-5)


def test_a_new_version_of_another_objective_is_answered_in_its_own_form(orchard: Orchard, client: Any) -> None:
    row = orchard.models["fraud"].rows[:1]
    for objective in ("binary:logistic", "multi:softprob", "multi:softmax", "reg:squarederror"):
        model = train(objective, **_classes(objective))
        orchard.publish(changing=model)
        requests.post(f"{orchard.node.admin_url}/models", json={"model_name": "changing"}, timeout=30)
        for _ in range(3):
            answer = from_csv(invoke(client, "changing", csv_of(row)))
            np.testing.assert_allclose(answer, model.expected(row), atol=1e-5, rtol=1e-5)


def test_the_admin_port_invokes_with_the_same_types(orchard: Orchard) -> None:
    orchard.check("fraud")
    rows = orchard.models["fraud"].rows[:3]
    url = f"{orchard.node.admin_url}/models/fraud/invoke"
    answer = requests.post(url, data=csv_of(rows), headers={"Content-Type": "text/csv"}, timeout=30)
    assert answer.headers["Content-Type"] == "text/csv"
    np.testing.assert_allclose(from_csv(answer.content), expected(orchard, "fraud", rows), atol=1e-5)
    refused = requests.post(url, data=b"1,2", headers={"Content-Type": "image/png"}, timeout=30)
    assert refused.status_code == 415
