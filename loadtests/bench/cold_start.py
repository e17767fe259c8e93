"""Cold starts from the disk tier, beside a Triton that is told to load the same entry and asked at once."""

import statistics
import time
from collections.abc import Callable, Sequence

from loadtests.bench.figures import Figure, Target, at_most, differences, figure
from loadtests.bench.setting import Bench, BenchError
from loadtests.bench.tenants import LARGE, MEDIUM, Size
from loadtests.kserve import BinaryRequest, HttpCaller, binary_request
from tools.catalog.tenant import TenantId

ADDED_TARGET_MS = 15.0
TENANTS_A_ROUND = 8


def measure(bench: Bench) -> list[Figure]:
    """First answers after an eviction from memory, for models of 1 MB and 45 MB: a round is one of each tenant."""
    return [
        *_measure_size(bench, MEDIUM, at_most(ADDED_TARGET_MS)),
        *_measure_size(bench, LARGE, None),
    ]


def _measure_size(bench: Bench, size: Size, added_target: Target | None) -> list[Figure]:
    tenants = size.tenants[:TENANTS_A_ROUND]
    requests = {tenant: binary_request(bench.references[tenant].rows[:1]) for tenant in tenants}
    node = HttpCaller(bench.node.at.http)
    alone = HttpCaller(bench.alone.http)
    cold: list[list[float]] = []
    loads: list[list[float]] = []
    try:
        for tenant in tenants:
            # Puts the entry in the node's disk tier, and pays both servers' one-time costs.
            bench.check(bench.node.at.http, tenant)
            bench.alone.load(tenant)
        for number in range(bench.pace.rounds):
            bench.say(f"{size.label}, round {number + 1} of {bench.pace.rounds}")
            cold.append([])
            loads.append([])
            for tenant in tenants:
                cold[-1].append(_cold_start(bench, node, tenant, requests[tenant]))
                loads[-1].append(_load_alone(bench, alone, tenant, requests[tenant]))
    finally:
        node.close()
        alone.close()
    of_node, of_triton = _milliseconds(cold, statistics.median), _milliseconds(loads, statistics.median)
    return [
        figure(f"cold {size.label} p50, node", "ms", of_node),
        figure(f"cold {size.label} slowest, node", "ms", _milliseconds(cold, max)),
        figure(f"cold {size.label} p50, Triton alone", "ms", of_triton),
        figure(f"cold {size.label} p50, added", "ms", differences(of_node, of_triton), added_target),
    ]


def _cold_start(bench: Bench, caller: HttpCaller, tenant: TenantId, request: BinaryRequest) -> float:
    bench.admin.unload(tenant)
    start = time.perf_counter()
    answer = caller.send(tenant, request)
    seconds = time.perf_counter() - start
    if answer.cold != "disk":
        raise BenchError(f"{tenant} was to be started from disk, and was not: it was {answer.cold or 'warm'}")
    bench.judge(tenant, answer.output)
    return seconds


def _load_alone(bench: Bench, caller: HttpCaller, tenant: TenantId, request: BinaryRequest) -> float:
    bench.alone.unload(tenant)
    start = time.perf_counter()
    bench.alone.load(tenant)
    answer = caller.send(tenant, request)
    seconds = time.perf_counter() - start
    bench.judge(tenant, answer.output)
    return seconds


def _milliseconds(rounds: Sequence[Sequence[float]], reduce: Callable[[Sequence[float]], float]) -> list[float]:
    return [reduce(seconds) * 1e3 for seconds in rounds]
