"""Triton goes away and comes back: who notices, and who waits for how long."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from sidecar.changes import Changes
from sidecar.disk import DiskTier
from sidecar.errors import TritonGoneError, TritonUnavailableError
from sidecar.memory.sizes import Sizes
from sidecar.observability.events import Cause, Journal, Kind
from sidecar.observability.metrics import Metrics
from sidecar.observer import Before, Observer
from sidecar.presence import Presence
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.triton_client import TritonClient, Usage
from sidecar.unloader import Unloader

from tests.bundles import make_manifest
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import TenantId

A, B = TenantId("a"), TenantId("b")


class ToldTriton:
    """Holds what it is told to, until it is told to be away."""

    def __init__(self) -> None:
        self.usages = [Usage("a", 1, 3, 10.0), Usage("b", 1, 1, 11.0)]
        self.failure: TritonUnavailableError | None = None
        self.http_failure: TritonUnavailableError | None = None
        self.dies_while_it_answers: Callable[[], None] = lambda: None

    async def usage(self) -> list[Usage]:
        self.dies_while_it_answers()
        if self.failure:
            raise self.failure
        return self.usages

    async def check_http(self) -> None:
        if self.failure or self.http_failure:
            raise self.failure or self.http_failure  # type: ignore[misc]

    async def held(self) -> dict[str, frozenset[int]]:
        return {}


class ToldDisk:
    def manifest(self, tenant: TenantId) -> Manifest:
        return make_manifest(tenant, 1, b"", b"")


class Bench:
    """A table of residents, and what keeps it true to a Triton that does as it is told."""

    def __init__(self) -> None:
        self.triton = ToldTriton()
        triton = cast(TritonClient, self.triton)
        self.residency, self.journal, self.presence = Residency(1 << 30), Journal(), Presence(patience=0.1)
        metrics, changes = Metrics(self.residency, self.journal, CollectorRegistry()), Changes()
        unloader = Unloader(self.residency, triton, changes, self.journal, metrics)
        observer = Observer(
            self.residency,
            cast(DiskTier, ToldDisk()),
            unloader,
            self.journal,
            metrics,
            changes,
            self.presence,
            Sizes(),
        )
        self.answers: list[bool] = []
        self.recency: Recency[Before] = Recency(
            triton, self.presence, observer.begin, observer.observe, self.answers.append
        )

    @property
    def residents(self) -> set[str]:
        return {slot.tenant for slot in self.residency}


async def test_what_triton_holds_is_known_before_it_is_said_to_be_there() -> None:
    bench = Bench()
    assert not bench.presence.is_there
    await bench.recency.check()
    assert bench.presence.is_there
    assert bench.residents == {A, B}
    assert bench.presence.losses == 0


async def test_one_that_is_gone_holds_nothing_and_is_looked_for_until_it_is_back() -> None:
    bench = Bench()
    await bench.recency.check()
    running = asyncio.create_task(bench.recency.run(interval=60))
    await asyncio.sleep(0.02)
    bench.triton.failure = TritonGoneError("closed")
    bench.presence.lost()
    assert bench.residents == set()
    assert bench.journal.counts[Kind.DEPARTED, Cause.LOST] == 2
    bench.triton.failure, bench.triton.usages = None, []
    async with asyncio.timeout(2):
        await bench.presence.wait_return(0)
    assert bench.residents == set()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_one_that_came_back_empty_between_two_readings_is_noticed() -> None:
    bench = Bench()
    await bench.recency.check()
    bench.triton.usages = []
    await asyncio.sleep(0.06)
    returning = asyncio.create_task(bench.presence.wait_return(0))
    await bench.recency.refresh()
    assert bench.presence.losses == 1
    assert bench.residents == set()
    await bench.recency.check()
    async with asyncio.timeout(1):
        await returning


async def test_the_last_words_of_one_that_died_meanwhile_are_not_taken_for_the_next_one_s() -> None:
    bench = Bench()
    await bench.recency.check()
    await asyncio.sleep(0.06)
    bench.triton.dies_while_it_answers = bench.presence.lost
    await bench.recency.refresh()
    assert not bench.presence.is_there
    assert bench.residents == set()
    assert bench.recency.to_json() == []


async def test_a_tenant_that_triton_alone_has_lost_is_no_death() -> None:
    bench = Bench()
    await bench.recency.check()
    bench.triton.usages = bench.triton.usages[1:]
    await asyncio.sleep(0.06)
    await bench.recency.refresh()
    assert bench.presence.losses == 0
    assert bench.residents == {B}


async def test_one_that_only_hangs_is_there_with_all_it_holds() -> None:
    bench = Bench()
    await bench.recency.check()
    bench.triton.failure = TritonUnavailableError("no answer in time")
    running = asyncio.create_task(bench.recency.run(interval=0.02))
    await asyncio.sleep(0.1)
    assert bench.presence.is_there
    assert bench.residents == {A, B}
    assert bench.answers[-1] is False
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_one_whose_http_port_is_closed_is_gone_whatever_its_other_port_says() -> None:
    bench = Bench()
    await bench.recency.check()
    bench.triton.http_failure = TritonGoneError("refused")
    for _ in range(2):
        with pytest.raises(TritonGoneError):
            await bench.recency.check()
        assert not bench.presence.is_there
        await bench.recency.refresh()
        assert not bench.presence.is_there
    assert bench.presence.losses == 1


async def test_uses_after_a_death_are_counted_from_nought() -> None:
    bench = Bench()
    await bench.recency.check()
    bench.presence.lost()
    bench.triton.usages = [Usage("a", 1, 5, 20.0)]
    before = bench.residency._policy.history.calls
    await bench.recency.check()
    assert bench.residency._policy.history.calls == before + 5


async def test_a_restarted_sidecar_counts_what_was_used_while_it_was_away_once() -> None:
    first, second = Bench(), Bench()
    await first.recency.check()
    second.recency.restore(first.recency.to_json())
    second.triton.usages = [Usage("a", 1, 10, 20.0), Usage("b", 1, 1, 11.0)]
    await second.recency.check()
    assert second.residency._policy.history.calls == 7


async def test_waiting_is_bounded() -> None:
    bench = Bench()
    began = asyncio.get_running_loop().time()
    with pytest.raises(TritonGoneError, match="try again"):
        await bench.presence.wait()
    assert asyncio.get_running_loop().time() - began >= 0.1
    waiting = asyncio.create_task(bench.presence.wait())
    await asyncio.sleep(0.02)
    await bench.recency.check()
    await waiting
