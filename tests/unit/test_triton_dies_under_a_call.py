"""A call that Triton dies under is asked again of the next Triton, once."""

import asyncio

import pytest
from sidecar.errors import TritonGoneError
from sidecar.serving import Call

from tests.unit.test_loader import A
from tests.unit.test_serving import ServingBench


class Dying:
    """Asks a Triton that dies under the first `deaths` calls."""

    def __init__(self, bench: ServingBench, deaths: int) -> None:
        self.bench = bench
        self.deaths_left = deaths
        self.asked = 0

    async def send(self) -> str:
        self.asked += 1
        if self.deaths_left:
            self.deaths_left -= 1
            self.bench.presence.lost()
            self.bench.bench.residency.forget(A)
            raise TritonGoneError("it closed the connection")
        return "answer"

    async def call(self) -> str:
        reply, _ = await self.bench.serving.answer(Call(A, self.send, lambda _: False))
        return reply


async def test_it_is_asked_again_when_triton_is_back() -> None:
    bench = ServingBench()
    dying = Dying(bench, deaths=1)
    calling = asyncio.create_task(dying.call())
    async with asyncio.timeout(5):
        while bench.presence.is_there:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert dying.asked == 1
    bench.presence.found()
    assert await calling == "answer"
    assert dying.asked == 2


async def test_a_call_that_triton_dies_under_twice_is_not_asked_a_third_time() -> None:
    bench = ServingBench()
    dying = Dying(bench, deaths=2)
    calling = asyncio.create_task(dying.call())
    async with asyncio.timeout(5):
        while dying.asked < 2:
            bench.presence.found()
            await asyncio.sleep(0.001)
    with pytest.raises(TritonGoneError):
        await calling
    assert dying.asked == 2
