"""Loads that no call waits for: what is worth it comes in, nobody goes out, and calls come first."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sidecar.errors import UnknownTenantError
from sidecar.schedule import Schedule
from sidecar.slot import State
from sidecar.warm import WarmStart

from tests.unit.test_loader import SIZE, A, B, Bench, C
from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.simple import LeastFrequentlyUsed


def uses(**counts: int) -> LeastFrequentlyUsed:
    policy = LeastFrequentlyUsed(History())
    for name, count in counts.items():
        policy.used(TenantId(name), 1.0, count)
    return policy


def warm_start(bench: Bench, **counts: int) -> WarmStart:
    return WarmStart(bench.residency, uses(**counts), bench.loader, bench.presence, parallel=2)


async def test_the_most_used_are_loaded_as_far_as_the_budget_goes() -> None:
    bench = Bench()
    assert await warm_start(bench, a=1, b=3, c=2).warm() == 2
    assert bench.triton.asked == ["load b", "load c"]


async def test_a_warm_start_evicts_nobody() -> None:
    bench = Bench()
    for tenant in (A, B):
        async with bench.loader.resident(tenant):
            pass
    assert await warm_start(bench, c=9).warm() == 0
    assert bench.triton.asked == ["load a", "load b"]


async def test_room_that_goes_meanwhile_is_not_taken_back() -> None:
    bench = Bench()
    async with bench.loader.resident(A):
        pass
    warming = asyncio.create_task(bench.loader.warm(C))
    await asyncio.sleep(0.001)
    bench.residency.adopt(B, 1, SIZE, 0.0, 0)
    assert not await warming
    assert bench.residency.get(C) is None
    assert bench.triton.asked == ["load a"]


async def test_a_call_that_joins_a_warm_load_may_evict_for_it() -> None:
    bench = Bench()
    for tenant in (A, B):
        async with bench.loader.resident(tenant):
            pass
    bench.residency.budget = 3 * SIZE
    warming = asyncio.create_task(bench.loader.warm(C))
    await asyncio.sleep(0.001)
    bench.residency.budget = 2 * SIZE
    async with bench.loader.resident(C):
        assert bench.residency.get(C).state is State.RESIDENT  # type: ignore[union-attr]
    assert await warming


async def test_a_warm_load_waits_until_no_call_waits() -> None:
    bench = Bench()
    bench.triton.load_time = 0.05

    async def call() -> None:
        async with bench.loader.resident(A):
            pass

    calling = asyncio.create_task(call())
    await asyncio.sleep(0.001)
    await bench.loader.warm(B)
    await calling
    assert bench.triton.asked == ["load a", "load b"]
    assert bench.triton.most_loading == 1


async def test_a_tenant_that_cannot_be_loaded_does_not_stop_the_others() -> None:
    bench = Bench()
    bench.residency.budget = 10 * SIZE
    offer = bench.supply.offer

    async def offer_but_b(tenant: TenantId) -> object:
        if tenant == B:
            raise UnknownTenantError("gone")
        return await offer(tenant)

    bench.supply.offer = offer_but_b  # type: ignore[method-assign, assignment]
    assert await warm_start(bench, a=3, b=2, c=1).warm() == 2
    assert bench.triton.asked == ["load a", "load c"]


async def test_it_warms_up_at_the_start_and_when_the_schedule_says() -> None:
    bench = Bench()
    warm = warm_start(bench, a=2)
    due = datetime(2026, 7, 15, 6, 30)
    running = asyncio.create_task(warm.run(Schedule.parse("30 6 * * *"), lambda: due - timedelta(milliseconds=100)))
    await asyncio.sleep(0.05)
    assert bench.triton.asked == ["load a"]
    await bench.loader.unload(A)
    async with asyncio.timeout(2):
        while bench.triton.asked.count("load a") < 2:
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_triton_that_comes_back_is_filled_again_the_pinned_first_and_several_at_a_time() -> None:
    bench = Bench()
    bench.residency.budget = 4 * SIZE
    bench.residency.pin(TenantId("pin"))
    warm = warm_start(bench, a=1, b=3, c=2)
    running = asyncio.create_task(warm.run(None))
    await _until(lambda: sum(slot.state is State.RESIDENT for slot in bench.residency) == 4)
    for slot in bench.residency:
        bench.residency.forget(slot.tenant)
    bench.triton.holds.clear()
    bench.triton.asked.clear()
    bench.triton.most_loading = 0
    bench.presence.lost()
    await asyncio.sleep(0.05)
    assert bench.triton.asked == []
    bench.presence.found()
    await _until(lambda: sum(slot.state is State.RESIDENT for slot in bench.residency) == 4)
    assert bench.triton.asked[0] == "load pin"
    assert bench.triton.asked[-1] == "load a"
    assert bench.triton.most_loading == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_warm_up_ends_when_triton_goes_away_and_no_tenant_is_blamed() -> None:
    bench = Bench()
    bench.presence.lost()
    assert await warm_start(bench, a=3, b=2, c=1).warm() == 0
    assert not any(bench.quarantine.is_suspect(tenant, 1) for tenant in (A, B, C))


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not holds():
            await asyncio.sleep(0.001)
