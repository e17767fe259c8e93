"""The cold path, against a Triton and a store that do as they are told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from sidecar.changes import Changes
from sidecar.errors import (
    BusyError,
    CannotFitError,
    LoadFailedError,
    QuarantinedError,
    ServingError,
    StoreUnavailableError,
    TritonGoneError,
    TritonUnavailableError,
)
from sidecar.load_guard import LoadGuard
from sidecar.loader import Loader, LoaderLimits
from sidecar.memory.sizes import Sizes
from sidecar.observability.events import Cause, Journal, Kind
from sidecar.observability.metrics import Metrics
from sidecar.observability.phases import Phases
from sidecar.observer import Before
from sidecar.presence import Presence
from sidecar.quarantine import Quarantine
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.slot import State
from sidecar.supply import Offer, Origin, Supply
from sidecar.triton_client import TritonClient
from sidecar.unloader import Unloader

from tests.bundles import make_manifest
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import TenantId

A, B, C = TenantId("a"), TenantId("b"), TenantId("c")
SIZE = 1 << 20  # what make_manifest says a tenant needs


class ToldTriton:
    """Loads and unloads in a moment, remembers what it was asked, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.holds: dict[str, str] = {}
        self.spans: dict[str, tuple[float, float]] = {}
        self.loading = 0
        self.most_loading = 0
        self.most_held = 0
        self.load_time = 0.01
        self.unload_time = 0.02
        self.failure: ServingError | None = None

    async def load(self, tenant: str, deadline: float) -> None:
        self.asked.append(f"load {tenant}")
        self.holds[tenant] = "LOADING"
        self.loading += 1
        began = asyncio.get_running_loop().time()
        self.most_loading = max(self.most_loading, self.loading)
        self.most_held = max(self.most_held, len(self.holds))
        await asyncio.sleep(self.load_time)
        self.spans[tenant] = began, asyncio.get_running_loop().time()
        self.loading -= 1
        if self.failure:
            del self.holds[tenant]
            raise self.failure
        self.holds[tenant] = "READY"

    async def unload(self, tenant: str) -> None:
        self.asked.append(f"unload {tenant}")
        if tenant in self.holds:
            self.holds[tenant] = "UNLOADING"
            asyncio.get_running_loop().call_later(self.unload_time, self.holds.pop, tenant)

    async def held(self) -> dict[str, frozenset[int]]:
        return {tenant: frozenset({1}) for tenant in self.holds}


class ToldSupply:
    """Has every tenant on disk, and fails when told to."""

    def __init__(self) -> None:
        self.brought: list[str] = []
        self.failure: ServingError | None = None

    def on_disk(self, tenant: TenantId) -> Manifest:
        return make_manifest(tenant, 1, b"", b"")

    async def offer(self, tenant: TenantId) -> Offer:
        return Offer(make_manifest(tenant, 1, b"", b""), Origin.DISK, None)

    async def bring(self, offer: Offer) -> Offer:
        self.brought.append(offer.manifest.tenant)
        await asyncio.sleep(0.005)
        if self.failure:
            raise self.failure
        return offer


class ToldRecency:
    def __init__(self) -> None:
        self.readings = 0

    async def refresh(self) -> None:
        self.readings += 1

    async def check(self) -> None:
        await self.refresh()


class Bench:
    """A loader with everything around it told what to do. Its budget holds two tenants."""

    def __init__(self, parallel_loads: int = 4, cold_deadline: float = 2.0) -> None:
        self.triton, self.supply, self.recency = ToldTriton(), ToldSupply(), ToldRecency()
        self.residency = Residency(2 * SIZE)
        self.sizes = Sizes()
        self.quarantine, self.presence = Quarantine(), Presence(patience=0.2)
        self.presence.found()
        changes = Changes()
        registry = CollectorRegistry()
        self.journal = Journal()
        metrics = Metrics(self.residency, self.journal, registry)
        triton = cast(TritonClient, self.triton)
        self.clock = 0.0
        self.loader = Loader(
            self.residency,
            cast(Supply, self.supply),
            triton,
            cast("Recency[Before]", self.recency),
            Unloader(self.residency, triton, changes, self.journal, metrics),
            changes,
            self.journal,
            metrics,
            Phases(registry),
            self.sizes,
            LoadGuard(self.quarantine, self.presence, self.journal, None),
            LoaderLimits(parallel_loads, load_deadline=1.0, cold_deadline=cold_deadline),
            clock=self.tick,
        )

    def tick(self) -> float:
        self.clock += 1
        return self.clock

    async def call(self, tenant: TenantId, work: Callable[[], Awaitable[None]] | None = None) -> Origin | None:
        async with self.loader.resident(tenant) as origin:
            slot = self.residency.get(tenant)
            assert slot is not None
            assert slot.state is State.RESIDENT
            assert self.triton.holds[tenant] == "READY"
            if work is not None:
                await work()
            return origin

    def state(self, tenant: TenantId) -> State | None:
        slot = self.residency.get(tenant)
        return slot.state if slot else None


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    assert all(slot.leases == 0 for slot in bench.residency)


async def test_the_first_call_loads_and_the_next_one_finds_it(bench: Bench) -> None:
    assert await bench.call(A) is Origin.DISK
    assert await bench.call(A) is None
    assert bench.triton.asked == ["load a"]


async def test_fifty_calls_at_once_cause_one_load(bench: Bench) -> None:
    origins = await asyncio.gather(*(bench.call(A) for _ in range(50)))
    assert set(origins) == {Origin.DISK}
    assert bench.triton.asked == ["load a"]
    assert bench.supply.brought == ["a"]


async def test_the_least_recently_used_makes_room_and_is_gone_before_the_load(bench: Bench) -> None:
    for tenant in (A, B, C):
        await bench.call(tenant)
    assert bench.triton.asked == ["load a", "load b", "unload a", "load c"]
    assert bench.triton.most_held == 2
    assert bench.journal.evictions == 1


async def test_a_cold_start_is_put_down_to_what_took_the_tenant_out_of_memory(bench: Bench) -> None:
    for tenant in (A, B, C, A):
        await bench.call(tenant)
    await bench.loader.unload(A)
    await bench.call(A)
    assert bench.journal.counts[Kind.LOADED, Cause.NEW] == 3
    assert bench.journal.counts[Kind.LOADED, Cause.EVICTED] == 1
    assert bench.journal.counts[Kind.LOADED, Cause.UNLOADED] == 1


async def test_a_tenant_that_would_not_load_is_quarantined_until_it_does(bench: Bench) -> None:
    bench.triton.failure = LoadFailedError("no")
    with pytest.raises(LoadFailedError):
        await bench.call(A)
    await _until(lambda: bench.state(A) is None)
    assert bench.journal.refused == {A: "no"}
    bench.triton.failure = None
    await bench.call(A)
    assert bench.journal.refused == {}


async def test_recency_is_read_again_before_a_victim_is_chosen_and_not_otherwise(bench: Bench) -> None:
    await bench.call(A)
    await bench.call(B)
    assert bench.recency.readings == 0
    await bench.call(C)
    assert bench.recency.readings == 1


async def test_many_tenants_thrashing_never_hold_more_than_the_budget(bench: Bench) -> None:
    tenants = [TenantId(f"t{number}") for number in range(12)]
    await asyncio.gather(*(bench.call(tenant) for tenant in tenants * 3))
    assert bench.triton.most_held == 2


async def test_a_tenant_is_not_evicted_before_its_first_answer(bench: Bench) -> None:
    answering = asyncio.Event()
    slow = [asyncio.create_task(bench.call(tenant, _wait_for(answering))) for tenant in (A, B)]
    await _until(lambda: bench.state(A) is State.RESIDENT and bench.state(B) is State.RESIDENT)
    third = asyncio.create_task(bench.call(C))
    await asyncio.sleep(0.05)
    assert bench.triton.asked == ["load a", "load b"]
    answering.set()
    assert await third is Origin.DISK
    await asyncio.gather(*slow)


async def test_a_call_during_an_unload_waits_for_it_and_loads_again(bench: Bench) -> None:
    await bench.call(A)
    unloading = asyncio.create_task(bench.loader.unload(A))
    await _until(lambda: bench.state(A) is State.UNLOADING)
    assert await bench.call(A) is Origin.DISK
    await unloading
    assert bench.triton.asked == ["load a", "unload a", "load a"]
    assert bench.triton.most_held == 1


async def test_parallel_loads_are_bounded() -> None:
    bench = Bench(parallel_loads=1)
    await asyncio.gather(bench.call(A), bench.call(B))
    assert bench.triton.most_loading == 1


async def test_a_failed_load_reaches_every_caller_frees_the_bytes_and_can_be_tried_again(bench: Bench) -> None:
    bench.triton.failure = LoadFailedError("no")
    outcomes = await asyncio.gather(*(bench.call(A) for _ in range(5)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LoadFailedError] * 5
    await _until(lambda: bench.state(A) is None)
    assert bench.residency.held_bytes == 0
    bench.triton.failure = None
    assert await bench.call(A) is Origin.DISK


async def test_a_triton_that_is_away_is_said_to_be_and_nothing_stays_behind(bench: Bench) -> None:
    bench.triton.failure = TritonUnavailableError("away")
    with pytest.raises(TritonUnavailableError):
        await bench.call(A)
    await _until(lambda: bench.state(A) is None)


async def test_a_failed_fetch_evicts_nobody(bench: Bench) -> None:
    await bench.call(A)
    await bench.call(B)
    bench.supply.failure = StoreUnavailableError("away")
    with pytest.raises(StoreUnavailableError):
        await bench.call(C)
    assert bench.triton.asked == ["load a", "load b"]
    assert bench.state(C) is None


async def test_what_can_never_fit_is_refused_before_it_is_fetched(bench: Bench) -> None:
    bench.residency.budget = SIZE - 1
    with pytest.raises(CannotFitError):
        await bench.call(A)
    assert bench.supply.brought == []
    assert bench.state(A) is None


async def test_no_room_before_the_deadline_is_busy_and_the_others_stay() -> None:
    bench = Bench(cold_deadline=0.1)
    answering = asyncio.Event()
    slow = [asyncio.create_task(bench.call(tenant, _wait_for(answering))) for tenant in (A, B)]
    await _until(lambda: bench.state(A) is State.RESIDENT and bench.state(B) is State.RESIDENT)
    with pytest.raises(BusyError, match="overloaded"):
        await bench.call(C)
    assert bench.state(C) is None
    answering.set()
    await asyncio.gather(*slow)


async def test_a_tenant_unloaded_while_its_update_is_fetched_stays_away(bench: Bench) -> None:
    await bench.call(A)
    updating = asyncio.create_task(bench.loader.update(A, await bench.supply.offer(A)))
    await _until(lambda: len(bench.supply.brought) == 2)
    await bench.loader.unload(A)
    await updating
    assert bench.state(A) is None
    assert bench.triton.asked == ["load a", "unload a"]


async def test_a_caller_that_goes_away_does_not_stop_the_load(bench: Bench) -> None:
    impatient = asyncio.create_task(bench.call(A))
    await _until(lambda: bench.state(A) is State.LOADING)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    await _until(lambda: bench.state(A) is State.RESIDENT)
    assert await bench.call(A) is None


async def test_a_load_that_kills_triton_twice_is_not_tried_again_until_it_is_released(bench: Bench) -> None:
    bench.triton.failure = TritonGoneError("it died")
    for _ in range(2):
        bench.presence.found()
        with pytest.raises(TritonGoneError):
            await bench.call(A)
        assert not bench.presence.is_there
        await _until(lambda: bench.state(A) is None)
    bench.presence.found()
    bench.triton.failure = None
    with pytest.raises(QuarantinedError, match="orchard release a"):
        await bench.call(A)
    assert bench.triton.asked.count("load a") == 2
    assert list(bench.journal.refused) == [A]
    assert await bench.call(B) is Origin.DISK
    bench.quarantine.release(A)
    assert await bench.call(A) is Origin.DISK


async def test_a_suspect_is_loaded_with_no_other_load_beside_it(bench: Bench) -> None:
    bench.quarantine.died(A, 1)
    bench.residency.budget = 9 * SIZE
    await asyncio.gather(*(bench.call(tenant) for tenant in (B, A, C)))
    order = bench.triton.spans
    (began, ended) = order["a"]
    assert all(
        other_ended <= began or ended <= other_began
        for name, (other_began, other_ended) in order.items()
        if name != "a"
    )
    assert not bench.quarantine.is_suspect(A, 1)


async def test_a_load_waits_for_a_triton_that_is_on_its_way_back(bench: Bench) -> None:
    bench.presence.lost()
    calling = asyncio.create_task(bench.call(A))
    await _until(lambda: bench.state(A) is State.LOADING)
    await asyncio.sleep(0.05)
    assert bench.triton.asked == []
    bench.presence.found()
    assert await calling is Origin.DISK


async def test_a_triton_that_stays_away_is_nobodys_fault(bench: Bench) -> None:
    bench.presence.lost()
    with pytest.raises(TritonGoneError, match="restarted"):
        await bench.call(A)
    assert not bench.quarantine.is_suspect(A, 1)
    await _until(lambda: bench.state(A) is None)


async def test_an_update_under_way_when_triton_dies_leaves_no_trace(bench: Bench) -> None:
    await bench.call(A)
    bench.triton.load_time = 0.1
    updating = asyncio.create_task(bench.loader.update(A, await bench.supply.offer(A)))
    await _until(lambda: bench.triton.asked.count("load a") == 2)
    bench.triton.failure = TritonGoneError("it died")
    bench.residency.forget(A)
    with pytest.raises(TritonGoneError):
        await updating
    assert bench.state(A) is None
    assert bench.residency.wanted_bytes == 0


def _wait_for(event: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def wait() -> None:
        await event.wait()

    return wait


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not holds():
            await asyncio.sleep(0.001)
