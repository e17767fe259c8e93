"""Triton's statistics → touches: how the sidecar learns of warm traffic that never passes through it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from sidecar.errors import ServingError
from sidecar.triton_client import TritonClient, Usage

log = logging.getLogger(__name__)

Context = TypeVar("Context")

# A reading is as good as a new one for so many times as long as it took, at most 50 ms. What is used meanwhile is not
# known when a victim is chosen, and lost when it goes; but readings may not be all that Triton does.
_REST = 4
_LONGEST_REST = 0.05


@dataclass(frozen=True, slots=True)
class Touch:
    """`uses` more requests for a tenant, the last of them at `at` (epoch seconds).

    Triton answered them in `seconds` altogether; `failures` more it could not answer.
    """

    tenant: str
    at: float
    uses: int
    seconds: float = 0.0
    failures: int = 0


def touches(before: Mapping[tuple[str, int], Usage], after: Iterable[Usage]) -> list[Touch]:
    """What happened between two readings of Triton's request counts.

    `before` maps (tenant, version) to what was last seen. A count below it means that the model was reloaded in
    between and started again from 0.
    """
    news = []
    for usage in after:
        seen = before.get((usage.tenant, usage.version))
        if seen is None or usage.requests < seen.requests or usage.failures < seen.failures:
            touch = Touch(usage.tenant, usage.last_used, usage.requests, usage.seconds, usage.failures)
        else:
            touch = Touch(
                usage.tenant,
                usage.last_used,
                usage.requests - seen.requests,
                usage.seconds - seen.seconds,
                usage.failures - seen.failures,
            )
        if touch.uses or touch.failures:
            news.append(touch)
    return news


class Recency(Generic[Context]):
    """Reads Triton's statistics, on a schedule and on demand, and hands them to `observe`.

    `observe` is called with what Triton has loaded and what was used since the reading before. `begin` is called
    just before each reading is asked for, and what it returns is handed on to `observe`, so that the receiver can
    tell news from what changed while the answer was on its way. `on_answer` is told each time whether Triton answers.
    """

    def __init__(
        self,
        triton: TritonClient,
        begin: Callable[[], Context],
        observe: Callable[[Context, list[Usage], list[Touch]], None],
        on_answer: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._triton = triton
        self._begin = begin
        self._observe = observe
        self._on_answer = on_answer
        self._seen: dict[tuple[str, int], Usage] | None = None
        self._fresh_until = float("-inf")
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Bring what is known up to date; a reading of a moment ago is not repeated.

        Raises:
            TritonUnavailableError: Triton does not answer.
        """
        async with self._reading:
            clock = asyncio.get_running_loop().time
            began = clock()
            if began < self._fresh_until:
                return
            context = self._begin()
            usage = await self._triton.usage()
            # The first reading tells what happened before this process began: no news.
            news = touches(self._seen, usage) if self._seen is not None else []
            self._seen = {(model.tenant, model.version): model for model in usage}
            self._observe(context, usage, news)
            self._fresh_until = began + min(_REST * (clock() - began), _LONGEST_REST)

    async def run(self, interval: float) -> None:
        """Refresh every `interval` seconds until cancelled; an unavailable Triton is waited for."""
        away = False
        while True:
            try:
                await self.refresh()
                if away:
                    log.info("Triton answers again")
                away = False
                self._on_answer(True)
            except ServingError as error:
                if not away:
                    log.warning("no statistics: %s", error)
                away = True
                self._on_answer(False)
            await asyncio.sleep(interval)
