"""A crash in full length: ten seconds without a sidecar, and one Triton after another killed."""

import time
from collections.abc import Iterator

import pytest

from tests.integration.crashes import Mender, Steady, wait_until
from tests.integration.orchard import Orchard, settings_for
from tests.models import train
from tools.stack import Node

TENANTS = ("a", "b", "c", "d")
DEATHS = 5


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("crashes")
    settings = settings_for(folder, memory_budget=10**9, pinned=TENANTS)
    orchard = Orchard(folder, Node(settings))
    orchard.publish(**{tenant: train("binary:logistic", seed=number) for number, tenant in enumerate(TENANTS)})
    with Node(settings) as node:
        orchard.node = node
        for tenant in TENANTS:
            orchard.check(tenant)
        yield orchard


@pytest.fixture(scope="module")
def mender(orchard: Orchard) -> Iterator[Mender]:
    with Mender(orchard.node) as mender:
        yield mender


def test_ten_seconds_without_a_sidecar_at_500_calls_a_second(orchard: Orchard, mender: Mender) -> None:
    with Steady(orchard.node.at.http, orchard.models, TENANTS, rate=500.0) as steady, mender.away():
        time.sleep(5.0)
        killed = time.monotonic()
        mender.kill("sidecar")
        time.sleep(10.0)
    before = median([reply.seconds for reply in steady.replies if reply.asked < killed])
    without = median([reply.seconds for reply in steady.replies if reply.asked > killed])
    print(f"\n{len(steady.replies)} calls; p50 {1e3 * before:.2f} ms with a sidecar, {1e3 * without:.2f} ms without")
    assert steady.failed == []
    assert steady.wrong == []
    assert without < 1.5 * before
    mender.wait_whole()


def test_pinned_tenants_answer_within_five_seconds_of_each_death_at_200_calls_a_second(
    orchard: Orchard, mender: Mender
) -> None:
    gaps = []
    with Steady(orchard.node.at.http, orchard.models, TENANTS, rate=200.0) as steady:
        for _ in range(DEATHS):
            time.sleep(2.0)
            mender.kill("triton")
            killed = time.monotonic()
            wait_until(lambda killed=killed: answered_since(steady, killed) == set(TENANTS))  # type: ignore[misc]
            gaps.append(time.monotonic() - killed)
            mender.wait_whole()
    print(f"\nall answer again after {', '.join(f'{gap:.2f}' for gap in gaps)} s; {len(steady.failed)} calls failed")
    assert max(gaps) < 5.0
    assert steady.wrong == []
    assert {reply.status for reply in steady.failed} <= {502, 503}


def answered_since(steady: Steady, moment: float) -> set[str]:
    return {reply.tenant for reply in tuple(steady.replies) if reply.status == 200 and reply.asked > moment}


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
