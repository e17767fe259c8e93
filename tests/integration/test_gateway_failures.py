"""The front when Triton, the sidecar, or both are down or stuck."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fronts import Front, read_reply, run_front
from tests.integration.standin import Answer, StandIn, error_of
from tests.integration.triton_process import TritonProcess
from tools import ports


@pytest.fixture
def nowhere() -> str:
    """An address nothing listens on."""
    (port,) = ports.free_ports(1)
    return f"127.0.0.1:{port}"


@pytest.fixture
def without_triton(tmp_path: Path, nowhere: str) -> Iterator[Front]:
    with StandIn() as sidecar, run_front(tmp_path, nowhere, sidecar) as front:
        yield front


@pytest.fixture
def without_sidecar(tmp_path: Path, triton_server: TritonProcess) -> Iterator[Front]:
    sidecar = StandIn()
    with run_front(tmp_path, triton_server.http, sidecar) as front:
        with sidecar:
            pass
        yield front


def test_with_triton_down_the_sidecar_decides(without_triton: Front) -> None:
    body = os.urandom(3 << 20)
    assert without_triton.post("/v2/models/m1/infer", body).status == 200
    assert without_triton.get("/v2/models/m1/ready").status == 200
    assert [seen.length for seen in without_triton.sidecar.seen] == [len(body), 0]


def test_with_triton_down_health_and_statistics_are_503(without_triton: Front) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", "/v2", "/v2/models/m1/stats"):
        reply = without_triton.get(path)
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        error_of(reply.body)
    assert without_triton.sidecar.seen == []


def test_with_the_sidecar_down_a_cold_request_is_503_with_retry_after(without_sidecar: Front) -> None:
    for reply in (without_sidecar.post("/v2/models/m1/infer"), without_sidecar.get("/v2/models/m1")):
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        error_of(reply.body)


def test_with_the_sidecar_down_health_is_still_tritons(without_sidecar: Front) -> None:
    assert without_sidecar.get("/v2/health/ready").status == 200


def test_a_stuck_part_is_a_504_and_nothing_is_asked_twice(tmp_path: Path, triton_server: TritonProcess) -> None:
    with StandIn() as sidecar, run_front(tmp_path, triton_server.http, sidecar, answer_seconds=2) as front:
        sidecar.answer = Answer(delay=3.0)
        reply = front.post("/v2/models/m1/infer")
        assert reply.status == 504
        assert "in time" in error_of(reply.body)
        assert len(sidecar.seen) == 1


def test_a_stuck_triton_is_a_504_and_the_sidecar_is_not_asked_to_run_it_again(tmp_path: Path) -> None:
    with (
        TritonProcess(tmp_path / "triton") as triton,
        StandIn() as sidecar,
        run_front(tmp_path, triton.http, sidecar, answer_seconds=2) as front,
    ):
        os.kill(triton.pid, signal.SIGSTOP)
        try:
            reply = front.post("/v2/models/m1/infer")
        finally:
            os.kill(triton.pid, signal.SIGCONT)
        assert reply.status == 504
        assert sidecar.seen == []


def test_a_triton_that_died_and_came_back_is_used_at_once(tmp_path: Path) -> None:
    with (
        TritonProcess(tmp_path / "triton") as triton,
        StandIn() as sidecar,
        run_front(tmp_path, triton.http, sidecar) as front,
    ):
        assert front.get("/v2/health/ready").status == 200
        triton.stop()
        assert front.get("/v2/health/ready").status == 503
        assert front.post("/v2/models/m1/infer").status == 200
        triton.start()
        assert front.get("/v2/health/ready").status == 200


def test_slow_loads_do_not_hold_up_other_tenants(front: Front) -> None:
    front.sidecar.answer = Answer(delay=1.0)
    waiting = [front.connect() for _ in range(20)]
    for number, connection in enumerate(waiting):
        connection.request("POST", f"/v2/models/m{number}/infer", b"{}")
    began = time.monotonic()
    assert front.get("/v2/health/live").status == 200
    assert time.monotonic() - began < 0.5
    for connection in waiting:
        assert read_reply(connection).status == 200
        connection.close()
    assert len(front.sidecar.seen) == 20
