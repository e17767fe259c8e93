"""Request ids at the front: the caller's is passed on and answered, one of its own stands in for a missing one."""

import pytest

from tests.integration.fronts import Front


def test_a_caller_s_id_goes_inside_and_comes_back(front: Front) -> None:
    reply = front.post("/v2/models/m1/infer", b"{}", {"X-Request-Id": "order-4711"})
    assert reply.headers["x-request-id"] == "order-4711"
    assert front.sidecar.seen[0].headers["x-request-id"] == "order-4711"


def test_a_request_without_an_id_gets_one_of_its_own(front: Front) -> None:
    first, second = (front.post("/v2/models/m1/infer").headers["x-request-id"] for _ in range(2))
    assert len(first) == len(second) == 32
    assert first != second
    assert [seen.headers["x-request-id"] for seen in front.sidecar.seen] == [first, second]


@pytest.mark.parametrize("sent", ['a"b', "a b", "x" * 129, "é"])
def test_an_id_that_would_garble_a_log_is_replaced(front: Front, sent: str) -> None:
    reply = front.post("/v2/models/m1/infer", b"{}", {"X-Request-Id": sent})
    assert len(reply.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/models/m1/infer", 405),
        ("GET", "/nothing", 404),
        ("POST", "/v2/models/UPPER/infer", 400),
    ],
)
def test_every_answer_names_its_request(front: Front, method: str, path: str, status: int) -> None:
    reply = front.get(path) if method == "GET" else front.post(path)
    assert reply.status == status
    assert len(reply.headers["x-request-id"]) == 32
