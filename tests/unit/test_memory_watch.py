"""The watch acts on what it reads: evicts when memory is short, corrects what models count as."""

import time
from typing import cast

import pytest
from sidecar.changes import Changes
from sidecar.memory.marks import Marks
from sidecar.memory.meter import SETTLED_SECONDS
from sidecar.memory.processes import ProcessMemory
from sidecar.memory.sizes import Sizes
from sidecar.memory.source import MemorySource, Reading
from sidecar.memory.watch import MemoryWatch
from sidecar.observability.events import Cause
from sidecar.residency import Residency
from sidecar.supply import Supply
from sidecar.unloader import Unloader

from tests.bundles import make_manifest
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import TenantId

MB = 10**6
SIZE = make_manifest(TenantId("any"), 1, b"", b"").resident_bytes
LONG_AGO = 0.0


class ToldUnloader:
    def __init__(self) -> None:
        self.started: list[tuple[tuple[TenantId, ...], Cause]] = []

    def start(self, tenants: tuple[TenantId, ...], cause: Cause, why: str = "") -> None:
        self.started.append((tenants, cause))


class ToldSupply:
    def on_disk(self, tenant: TenantId) -> Manifest:
        return make_manifest(tenant, 1, b"", b"")


class ToldSource:
    def __init__(self) -> None:
        self.asked = 0

    def read(self, reckoned: int) -> None:
        self.asked += 1


class Bench:
    """A watch over four residents, `p` of them pinned, with room for eight, and a clock to be moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.residency = Residency(8 * SIZE, [TenantId("p")])
        self.unloader, self.source, self.sizes = ToldUnloader(), ToldSource(), Sizes()
        for name in ("p", "a", "b", "c"):
            self.residency.adopt(TenantId(name), 1, SIZE, LONG_AGO, 0)
        self.watch = MemoryWatch(
            cast(MemorySource, self.source),
            Marks(0.8, 0.6),
            self.residency,
            cast(Supply, ToldSupply()),
            cast(Unloader, self.unloader),
            self.sizes,
            Changes(),
        )

    def look(self, used: float, limit: float = 10.0) -> None:
        """Take in a reading of so many times a model's size."""
        process = ProcessMemory(1, 1, int(used * SIZE))
        self.watch.look(Reading(int(used * SIZE), int(limit * SIZE), process))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_above_the_high_mark_models_are_evicted_and_never_the_pinned(bench: Bench) -> None:
    bench.look(used=8.5)
    assert bench.unloader.started == [(("a", "b"), Cause.SHED)]
    assert bench.residency.ceiling == 2 * SIZE
    assert bench.residency.get(TenantId("p")) is not None


def test_it_waits_for_memory_to_be_given_back_before_it_evicts_more(bench: Bench) -> None:
    bench.look(used=8.5)
    bench.look(used=9.5)
    assert len(bench.unloader.started) == 1
    bench.now += 10
    bench.look(used=9.5)
    assert bench.residency.ceiling == 2 * SIZE, "that is the least it may be"


def test_when_memory_is_there_again_models_may_use_their_whole_budget(bench: Bench) -> None:
    bench.look(used=8.5)
    bench.now += 10
    bench.look(used=1.0, limit=100.0)
    assert bench.residency.ceiling == bench.residency.budget


def test_below_the_marks_nothing_happens(bench: Bench) -> None:
    bench.look(used=7.5)
    assert bench.unloader.started == []
    assert bench.residency.ceiling == bench.residency.budget


def test_a_load_that_added_less_than_reckoned_counts_for_less_from_then_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.memory.meter._SMALLEST", 0)
    for used, newcomer in ((2.0, None), (2.6, "d")):
        if newcomer:
            bench.residency.adopt(TenantId(newcomer), 1, SIZE, LONG_AGO, 0)
        bench.look(used)
        bench.now += SETTLED_SECONDS
        bench.look(used)
    slot = bench.residency.get(TenantId("d"))
    assert slot is not None
    assert slot.bytes == pytest.approx(0.8 * SIZE, rel=0.001)  # half of the way to what was measured
    assert bench.sizes.counted(TenantId("d"), 1, SIZE) == slot.bytes


async def test_where_the_kernel_tells_nothing_the_watch_ends(bench: Bench) -> None:
    await bench.watch.run(0.001)
    assert bench.source.asked == 1
    assert bench.watch.reading is None
