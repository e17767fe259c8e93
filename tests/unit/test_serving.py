"""Calls that wait, for their tenant or for Triton, stand in one line; the others never do."""

import asyncio
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from sidecar.cold_queue import ColdQueue
from sidecar.errors import OverloadedError
from sidecar.observability.metrics import Metrics
from sidecar.observability.phases import Phases
from sidecar.observer import Before
from sidecar.presence import Presence
from sidecar.recency import Recency
from sidecar.serving import Call, Serving
from sidecar.supply import Supply

from tests.unit.test_loader import A, B, Bench, C
from tools.catalog.tenant import TenantId


class ServingBench:
    """A Triton that is there, and a line for two."""

    def __init__(self) -> None:
        self.bench, self.queue, self.presence = Bench(), ColdQueue(2), Presence(5.0)
        self.presence.found()
        self.answering = asyncio.Event()
        self.answering.set()
        registry = CollectorRegistry()
        self.serving = Serving(
            self.bench.residency,
            cast(Supply, self.bench.supply),
            self.bench.loader,
            cast("Recency[Before]", self.bench.recency),
            Metrics(self.bench.residency, self.bench.journal, registry),
            Phases(registry),
            self.queue,
            self.presence,
        )

    async def call(self, tenant: TenantId) -> str:
        async def send() -> str:
            await self.answering.wait()
            return "answer"

        reply, _ = await self.serving.answer(Call(tenant, send, lambda _: False))
        return reply


@pytest.fixture
async def bench() -> ServingBench:
    return ServingBench()


async def test_a_cold_call_beyond_the_line_is_turned_away_and_a_warm_one_is_not(bench: ServingBench) -> None:
    assert await bench.call(A) == "answer"
    bench.bench.triton.load_time = 0.05
    waiting = [asyncio.create_task(bench.call(B)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for tenant in (B, C):
        with pytest.raises(OverloadedError):
            await bench.call(tenant)
    assert await bench.call(A) == "answer"
    assert await asyncio.gather(*waiting) == ["answer", "answer"]
    assert (bench.queue.waiting, bench.queue.refused) == (0, 2)


async def test_a_call_whose_tenant_is_loaded_leaves_the_line_before_it_is_answered(bench: ServingBench) -> None:
    bench.answering.clear()
    calls = [asyncio.create_task(bench.call(tenant)) for tenant in (A, B)]
    async with asyncio.timeout(2):
        while bench.bench.triton.holds != {A: "READY", B: "READY"} or bench.queue.waiting:
            await asyncio.sleep(0.005)
    bench.answering.set()
    assert await asyncio.gather(*calls) == ["answer", "answer"]


async def test_calls_that_wait_for_triton_itself_stand_in_the_same_line(bench: ServingBench) -> None:
    assert await bench.call(A) == "answer"
    bench.presence.lost()
    waiting = [asyncio.create_task(bench.call(A)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(OverloadedError):
        await bench.call(A)
    bench.presence.found()
    assert await asyncio.gather(*waiting) == ["answer", "answer"]
