"""Triton's statistics → touches: how the sidecar learns of warm traffic that never passes through it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sidecar.errors import ServingError, TritonGoneError
from sidecar.presence import Presence
from sidecar.triton_client import TritonClient, Usage

log = logging.getLogger(__name__)

Context = TypeVar("Context")

# A reading is as good as a new one for so many times as long as it took, at most 50 ms. What is used meanwhile is not
# known when a victim is chosen, and lost when it goes; but readings may not be all that Triton does.
_REST = 4
_LONGEST_REST = 0.05
# Seconds between looks at a Triton that is away.
_AWAY_PAUSE = 0.05


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
    tell news from what changed while the answer was on its way. `presence` learns whether Triton is there, `on_answer`
    whether it answers: one that hangs is there.
    """

    def __init__(
        self,
        triton: TritonClient,
        presence: Presence,
        begin: Callable[[], Context],
        observe: Callable[[Context, list[Usage], list[Touch]], None],
        on_answer: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._triton = triton
        self._presence = presence
        self._begin = begin
        self._observe = observe
        self._on_answer = on_answer
        self._seen: dict[tuple[str, int], Usage] = {}
        self._fresh_until = float("-inf")
        self._reading = asyncio.Lock()
        presence.subscribe(self._forget)

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
            context, losses = self._begin(), self._presence.losses
            with self._noticing_loss():
                usage = await self._triton.usage()
            if self._presence.losses != losses:
                return  # the last words of one that is gone
            news = touches(self._seen, usage)
            self._seen = {(model.tenant, model.version): model for model in usage}
            self._fresh_until = began + min(_REST * (clock() - began), _LONGEST_REST)
            self._observe(context, usage, news)

    async def check(self) -> None:
        """See whether Triton is there, both its ports, and bring what is known up to date. One that was away is found.

        Raises:
            TritonUnavailableError: it does not answer.
        """
        losses = self._presence.losses
        with self._noticing_loss():
            await self._triton.check_http()
        await self.refresh()
        if self._presence.losses == losses:
            self._presence.found()

    async def run(self, interval: float) -> None:
        """Refresh every `interval` seconds until cancelled; a Triton that is away is looked for all the time."""
        answers = True
        while True:
            try:
                await (self.refresh() if self._presence.is_there else self.check())
                answers = True
            except ServingError as error:
                if answers:
                    log.warning("no statistics: %s", error)
                answers = False
            self._on_answer(answers)
            if self._presence.is_there:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._presence.wait_loss(), interval)
            else:
                await asyncio.sleep(_AWAY_PAUSE)

    def to_json(self) -> list[list[Any]]:
        """What `restore` takes: the counts of the latest reading."""
        seen = self._seen.values()
        return [[each.tenant, each.version, each.requests, each.failures, each.seconds] for each in seen]

    def restore(self, state: list[list[Any]]) -> None:
        """Take up the counts that an earlier run saw last, so that what was used since then is news.

        Raises:
            TypeError, ValueError: `state` is not what `to_json` returns.
        """
        seen = (
            Usage(str(tenant), int(version), int(requests), 0.0, int(failures), float(seconds))
            for tenant, version, requests, failures, seconds in state
        )
        self._seen = {(each.tenant, each.version): each for each in seen}

    @contextmanager
    def _noticing_loss(self) -> Iterator[None]:
        try:
            yield
        except TritonGoneError:
            self._presence.lost()
            raise

    def _forget(self) -> None:
        """Another Triton counts from 0."""
        self._seen = {}
        self._fresh_until = float("-inf")
