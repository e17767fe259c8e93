"""Triton's resident memory: what a tenant costs while it is in, and what is left when it has gone."""

import time
from collections import deque

import numpy as np

from loadtests.bench.figures import Figure, at_most, figure
from loadtests.bench.processes import resident_bytes
from loadtests.bench.setting import Bench
from loadtests.bench.tenants import LARGE, MB, MEDIUM, SIZES, SMALL, Size
from tools.catalog.tenant import TenantId

CYCLES = 200
MOST_RESIDENT = 8
LEFT_TARGET_MB = 20.0
# jemalloc gives pages back one second after they were last used; twice that, and some more, is settled.
SETTLE_SECONDS = 3.0


def measure_resident(bench: Bench) -> list[Figure]:
    """Memory a resident tenant needs, by size of its checkpoint."""
    bench.admin.unload_all()
    _touch_one_of_each(bench)
    return [_measure_size(bench, size) for size in SIZES]


def measure_cycles(bench: Bench) -> list[Figure]:
    """Memory left after many tenants of mixed sizes have come and gone.

    The start is taken after one tenant of each size has come and gone, so that one-time costs are in it.
    """
    bench.admin.unload_all()
    _touch_one_of_each(bench)
    start = _settled(bench)
    resident: deque[TenantId] = deque()
    for number, tenant in enumerate(_arrivals(CYCLES)):
        bench.say(f"load and unload {number + 1} of {CYCLES}")
        if tenant in resident:
            resident.remove(tenant)
            bench.admin.unload(tenant)
        elif len(resident) == MOST_RESIDENT:
            bench.admin.unload(resident.popleft())
        bench.admin.load(tenant)
        bench.check(bench.node.at.http, tenant)
        resident.append(tenant)
    at_work = resident_bytes(bench.node.pid("triton"))
    bench.admin.unload_all()
    end = _settled(bench)
    sidecar = resident_bytes(bench.node.pid("sidecar"))
    return [
        figure("Triton's RSS at the start", "MB", [start / MB]),
        figure(f"Triton's RSS, {MOST_RESIDENT} tenants in", "MB", [at_work / MB]),
        figure(f"RSS left by {CYCLES} load cycles", "MB", [(end - start) / MB], at_most(LEFT_TARGET_MB)),
        figure("the sidecar's RSS", "MB", [sidecar / MB]),
    ]


def _measure_size(bench: Bench, size: Size) -> Figure:
    before = _settled(bench)
    bench.say(f"{size.count} tenants of {size.label}")
    for tenant in size.tenants:
        bench.admin.load(tenant)
        bench.check(bench.node.at.http, tenant)
    each = (_settled(bench) - before) / size.count
    bench.admin.unload_all()
    limit = (1.4 * size.checkpoint_bytes + MB) / MB
    return figure(f"RSS a resident {size.label} model", "MB", [each / MB], at_most(limit))


def _touch_one_of_each(bench: Bench) -> None:
    for size in SIZES:
        bench.check(bench.node.at.http, size.tenants[0])
        bench.admin.unload(size.tenants[0])


def _arrivals(count: int) -> list[TenantId]:
    """Mostly small tenants, some of 1 MB, now and then one of 45 MB; the same each time."""
    draw = np.random.default_rng(0)
    sizes = draw.choice(len(SIZES), size=count, p=[0.6, 0.35, 0.05])
    return [_one_of(draw, (SMALL, MEDIUM, LARGE)[size]) for size in sizes]


def _one_of(draw: np.random.Generator, size: Size) -> TenantId:
    return size.tenants[int(draw.integers(size.count))]


def _settled(bench: Bench) -> int:
    bench.say("waiting for the allocator")
    time.sleep(SETTLE_SECONDS)
    return resident_bytes(bench.node.pid("triton"))
