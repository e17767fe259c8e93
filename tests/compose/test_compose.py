"""docker-compose.yml as it is, on an engine of its own: up, right answers, every service killed and back, down."""

import itertools
import json
import time
import urllib.request
from collections.abc import Sequence
from functools import partial

import pytest

from loadtests.fleets import Fleet, fraud_tenants
from loadtests.kserve import Caller, GrpcCaller, HttpCaller
from loadtests.replay import Outcome, Verdict, replay
from loadtests.traffic import calls, fraud_shares
from tests.compose.deployment import GRPC, HTTP, JOBS, SERVICES, Deployment, wait_until

_HEALTHY_SECONDS = 90
_SEED_SECONDS = 420


def _ask(fleet: Fleet, callers: Sequence[Caller], seconds: float, seed: int = 1) -> list[Outcome]:
    """The fraud mix for `seconds`, every answer judged."""
    rows = {tenant: len(reference.rows) for tenant, reference in fleet.references.items()}
    end = time.monotonic() + seconds
    try:
        return replay(
            callers,
            calls(fraud_shares(fraud_tenants()), rows, seed),
            fleet.references,
            lambda _: time.monotonic() > end,
        )
    finally:
        for caller in callers:
            caller.close()


def _bad(outcomes: Sequence[Outcome], *verdicts: Verdict) -> list[str]:
    return [outcome.detail for outcome in outcomes if outcome.verdict in verdicts]


def _everybody_answers_right(fleet: Fleet) -> bool:
    outcomes = _ask(fleet, [HttpCaller(HTTP)], seconds=1.0)
    return bool(outcomes) and not _bad(outcomes, Verdict.WRONG, Verdict.FAILED)


def test_every_service_becomes_healthy_and_every_job_ends_well(deployment: Deployment) -> None:
    for service in SERVICES:
        wait_until(partial(deployment.is_healthy, service), _HEALTHY_SECONDS, service)
    for job in JOBS:
        wait_until(partial(deployment.has_ended, job), _SEED_SECONDS, job)
        assert deployment.job_status(job) == 0, deployment.logs(job)


def test_traffic_is_answered_with_nothing_wrong_and_nothing_failed(fleet: Fleet) -> None:
    outcomes = _ask(fleet, [HttpCaller(HTTP), HttpCaller(HTTP), GrpcCaller(GRPC)], seconds=10.0)
    assert not _bad(outcomes, Verdict.WRONG, Verdict.FAILED)
    assert {outcome.protocol for outcome in outcomes} == {"http", "grpc"}
    assert {outcome.cold for outcome in outcomes} >= {"fetch", ""}
    print(f"\n{len(outcomes)} answers over HTTP and gRPC, all right")


def test_a_call_of_sagemakers_client_is_answered(fleet: Fleet) -> None:
    tenant, reference = next(iter(fleet.references.items()))
    row = ",".join(repr(float(value)) for value in reference.rows[0])
    call = urllib.request.Request(
        f"http://{HTTP}/endpoints/any/invocations",
        data=row.encode(),
        headers={"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Model": f"{tenant}.tar.gz"},
    )
    for _ in range(3):  # The first by the sidecar, then by nginx's own script.
        with urllib.request.urlopen(call, timeout=30) as answer:
            assert float(answer.read()) == pytest.approx(float(reference.answers[0][-1]), abs=1e-5)


def test_nothing_but_nginx_is_published(deployment: Deployment) -> None:
    for service in SERVICES:
        bindings = deployment.inspect(service)["HostConfig"]["PortBindings"] or {}
        assert bool(bindings) == (service == "nginx"), service


def test_containers_are_confined(deployment: Deployment) -> None:
    for service in SERVICES:
        about = deployment.inspect(service)
        assert about["HostConfig"]["ReadonlyRootfs"], service
        assert about["HostConfig"]["CapDrop"] == ["ALL"], service
        assert about["HostConfig"]["Memory"] > 0, service
        assert about["HostConfig"]["PidsLimit"] > 0, service
        assert about["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped", service
        # SeaweedFS's image gives its data folder to root.
        assert service == "seaweedfs" or about["Config"]["User"] not in ("", "root", "0"), service


def test_tritons_own_interface_is_not_reachable(deployment: Deployment) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{HTTP}/v2/repository/index", data=b"{}", timeout=10)
    assert refused.value.code == 404


def test_prometheus_reads_the_sidecar(deployment: Deployment) -> None:
    query = (
        "import urllib.request as u; print(u.urlopen('http://prometheus:9090/api/v1/query?query=up').read().decode())"
    )

    def is_up() -> bool:
        found = json.loads(deployment.compose("exec", "-T", "sidecar", "python", "-c", query))["data"]["result"]
        return any("sidecar" in str(series["metric"]) and series["value"][1] == "1" for series in found)

    wait_until(is_up, 60, "a reading of the sidecar")


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back_by_itself(deployment: Deployment, fleet: Fleet, service: str) -> None:
    before = deployment.restarts(service)
    deployment.kill(service)
    began = time.monotonic()
    wait_until(lambda: deployment.restarts(service) > before, 30, f"a restart of {service}")
    wait_until(lambda: _everybody_answers_right(fleet), _HEALTHY_SECONDS, f"right answers after {service} was killed")
    answering = time.monotonic() - began
    wait_until(lambda: deployment.is_healthy(service), _HEALTHY_SECONDS, service)
    print(f"\n{service}: all answers right again after {answering:.1f} s")
    outcomes = _ask(fleet, [HttpCaller(HTTP), GrpcCaller(GRPC)], seconds=3.0, seed=len(service))
    assert not _bad(outcomes, Verdict.WRONG, Verdict.FAILED)


@pytest.mark.parametrize("service", ["sidecar", "seaweedfs", "prometheus"])
def test_resident_tenants_do_not_notice_a_killed(deployment: Deployment, fleet: Fleet, service: str) -> None:
    whales = fraud_tenants().whales
    caller = HttpCaller(HTTP)
    for tenant in whales:
        caller.infer(tenant, fleet.references[tenant].rows[:1])
    before = deployment.restarts(service)
    deployment.kill(service)
    asked = itertools.cycle(whales)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        tenant = next(asked)
        reference = fleet.references[tenant]
        assert reference.agrees(0, caller.infer(tenant, reference.rows[:1]).output)
    caller.close()
    wait_until(lambda: deployment.restarts(service) > before, 30, f"a restart of {service}")
    wait_until(lambda: deployment.is_healthy(service), _HEALTHY_SECONDS, service)


def test_the_promise_for_warm_tenants_is_kept(deployment: Deployment) -> None:
    # With ten times the promised times, because machines that run tests have other things to do.
    print(deployment.compose("run", "--rm", "loadtest")[-1000:])
