"""Keeps models within the memory that there really is, and what they are reckoned at true to what they take."""

import asyncio
import logging
import time
from collections.abc import Callable

from sidecar.changes import Changes
from sidecar.memory.marks import Ceiling, Marks, next_ceiling
from sidecar.memory.meter import Held, Meter
from sidecar.memory.sizes import Sizes
from sidecar.memory.source import By, MemorySource, Reading
from sidecar.observability.events import Cause
from sidecar.residency import Residency
from sidecar.slot import State
from sidecar.supply import Supply
from sidecar.unloader import Unloader

log = logging.getLogger(__name__)

# Seconds after an eviction before it is judged: the allocator gives memory back within a second or two.
_PATIENCE = 3.0
_MB = 1e6


class MemoryWatch:
    """Reads the memory in use once an interval. Above the high mark it lowers the table's ceiling, which evicts.

    `reading` is the latest one, None when this machine does not tell.
    """

    def __init__(
        self,
        source: MemorySource,
        marks: Marks,
        residency: Residency,
        supply: Supply,
        unloader: Unloader,
        sizes: Sizes,
        changes: Changes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._marks = marks
        self._residency = residency
        self._supply = supply
        self._unloader = unloader
        self._sizes = sizes
        self._changes = changes
        self._clock = clock
        self._meter = Meter()
        self._ceiling = Ceiling(residency.budget)
        self._patient_until = float("-inf")
        self._by: By | None = None
        self.reading: Reading | None = None

    async def run(self, interval: float) -> None:
        """Look every `interval` seconds until cancelled. There is nothing to do where the kernel tells nothing."""
        while True:
            self.reading = await asyncio.to_thread(self._source.read, self._residency.held_bytes)
            if self.reading is None:
                log.warning("memory is not watched: this machine does not say how much there is")
                return
            self.look(self.reading)
            await asyncio.sleep(interval)

    def look(self, reading: Reading) -> None:
        """Act on one reading."""
        self._say_how(reading)
        self._measure(reading)
        if time.monotonic() >= self._patient_until:
            self._move_ceiling(reading)

    def _say_how(self, reading: Reading) -> None:
        if reading.by is self._by:
            return
        self._by = reading.by
        if reading.process is not None:
            how = f"the resident set of Triton, process {reading.process.pid}"
        else:
            how = "what models are reckoned to hold, because Triton's process cannot be seen from here"
        log.info("memory is watched: %s, and what is left, %.0f MB in all", how, reading.limit / _MB)

    def _measure(self, reading: Reading) -> None:
        if reading.process is None:
            return
        slots = tuple(self._residency)
        is_moving = any(slot.state in (State.LOADING, State.UNLOADING) or slot.incoming for slot in slots)
        holding = set()
        for slot in slots:
            manifest = self._supply.on_disk(slot.tenant) if slot.state is State.RESIDENT else None
            if manifest is not None and manifest.version == slot.version:
                holding.add(Held(slot.tenant, slot.serial, slot.version, manifest.resident_bytes))
        process = (reading.process.pid, reading.process.started)
        measured = self._meter.look(time.monotonic(), process, reading.process.rss, frozenset(holding), is_moving)
        if measured is None:
            return
        model = measured.model
        self._sizes.learn(model.tenant, model.version, model.reckoned, measured.added)
        size = self._sizes.counted(model.tenant, model.version, model.reckoned)
        self._residency.correct(model.tenant, model.serial, size)
        text = "%s v%d has added %.1f MB, reckoned at %.1f MB: it counts as %.1f MB"
        log.info(text, model.tenant, model.version, measured.added / _MB, model.reckoned / _MB, size / _MB)

    def _move_ceiling(self, reading: Reading) -> None:
        residency = self._residency
        before = self._ceiling
        self._ceiling = next_ceiling(
            before, reading.used, reading.limit, residency.held_bytes, residency.budget, self._marks
        )
        if self._ceiling == before:
            return
        residency.ceiling = self._ceiling.bytes
        if self._ceiling.bytes > before.bytes:
            self._changes.ring()
            if self._ceiling.bytes == residency.budget:
                log.info("memory is not short any more: models may use their whole budget")
            return
        log.warning(
            "memory is short: %.0f of %.0f MB are used; models may hold %.0f MB instead of %.0f MB",
            *(figure / _MB for figure in (reading.used, reading.limit, self._ceiling.bytes, residency.budget)),
        )
        self._unloader.start(residency.overflow(self._clock()), Cause.SHED, "because memory is short")
        self._patient_until = time.monotonic() + _PATIENCE
