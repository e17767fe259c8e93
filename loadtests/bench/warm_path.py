"""Resident tenants: what each front costs over calling Triton directly."""

from collections import defaultdict
from dataclasses import dataclass

from loadtests.bench.bare_nginx import bare_nginx
from loadtests.bench.figures import Figure, at_least, at_most, differences, figure, ratios
from loadtests.bench.processes import cpu_seconds, with_children
from loadtests.bench.setting import Bench
from loadtests.bench.tenants import MEDIUM
from loadtests.bench.wrk import LoadResult, drive
from loadtests.kserve import binary_request, infer_path

CONNECTIONS = 16
TENANT = MEDIUM.tenants[0]


@dataclass(frozen=True, slots=True)
class Front:
    """One way to reach Triton, and the process that stands in front of it, if any."""

    name: str
    address: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class _Round:
    """One front in one round: many connections, then one."""

    many: LoadResult
    one: LoadResult
    front_cpu: float
    triton_cpu: float


def measure(bench: Bench) -> list[Figure]:
    """Throughput and processor time at 16 connections, latency at 1: directly, through nginx, through the sidecar.

    Beside them an nginx that does nothing but pass requests on: the least that the node's front could cost.
    """
    node = bench.node
    with bare_nginx(bench.scratch / "bare-nginx", node.at.triton_http) as bare:
        fronts = [
            Front("direct", node.at.triton_http, None),
            Front("bare nginx", bare.address, bare.pid),
            Front("nginx", node.at.http, node.pid("nginx")),
            Front("sidecar", node.at.sidecar_http, node.pid("sidecar")),
        ]
        # The first call through the node makes the tenant resident, for all of them.
        for address in (node.at.http, bare.address, node.at.triton_http, node.at.sidecar_http):
            bench.check(address, TENANT)
        return _figures(_rounds(bench, fronts))


def _rounds(bench: Bench, fronts: list[Front]) -> dict[str, list[_Round]]:
    rounds: defaultdict[str, list[_Round]] = defaultdict(list)
    for number in range(bench.pace.rounds):
        # Each round starts with another front, so that none has the best place always.
        first = number % len(fronts)
        for front in fronts[first:] + fronts[:first]:
            bench.say(f"round {number + 1} of {bench.pace.rounds}: {front.name}")
            rounds[front.name].append(_measure(bench, front))
    return rounds


def _measure(bench: Bench, front: Front) -> _Round:
    url = f"http://{front.address}{infer_path(TENANT)}"
    request = binary_request(bench.references[TENANT].rows[:1])
    body_file = bench.scratch / "request.bin"
    front_pids = with_children(front.pid) if front.pid is not None else []

    front_before, triton_before = cpu_seconds(front_pids), cpu_seconds([bench.node.pid("triton")])
    many = drive(url, request, body_file, CONNECTIONS, bench.pace.seconds)
    front_cpu = cpu_seconds(front_pids) - front_before
    triton_cpu = cpu_seconds([bench.node.pid("triton")]) - triton_before
    one = drive(url, request, body_file, 1, bench.pace.seconds)
    return _Round(many, one, front_cpu / many.requests, triton_cpu / many.requests)


def _figures(rounds: dict[str, list[_Round]]) -> list[Figure]:
    rate = {name: [each.many.rate for each in of_front] for name, of_front in rounds.items()}
    p50 = {name: [each.one.p50 * 1e6 for each in of_front] for name, of_front in rounds.items()}
    p99 = {name: [each.one.p99 * 1e6 for each in of_front] for name, of_front in rounds.items()}
    front = {name: [each.front_cpu * 1e6 for each in of_front] for name, of_front in rounds.items()}
    triton = {name: [each.triton_cpu * 1e6 for each in of_front] for name, of_front in rounds.items()}
    return [
        figure("c=16 direct", "req/s", rate["direct"]),
        figure("c=16 bare nginx", "req/s", rate["bare nginx"]),
        figure("c=16 nginx", "req/s", rate["nginx"]),
        figure("c=16 sidecar", "req/s", rate["sidecar"]),
        figure("c=16 nginx / direct", "", ratios(rate["nginx"], rate["direct"]), at_least(0.70)),
        figure("c=16 nginx / bare nginx", "", ratios(rate["nginx"], rate["bare nginx"])),
        figure("c=16 sidecar / direct", "", ratios(rate["sidecar"], rate["direct"])),
        figure("CPU/request nginx", "µs", front["nginx"], at_most(40)),
        figure("CPU/request bare nginx", "µs", front["bare nginx"]),
        figure("CPU/request nginx, added to that", "µs", differences(front["nginx"], front["bare nginx"])),
        figure("CPU/request sidecar", "µs", front["sidecar"]),
        figure("CPU/request Triton direct", "µs", triton["direct"]),
        figure("CPU/request Triton via nginx", "µs", triton["nginx"]),
        figure("c=1 p50 direct", "µs", p50["direct"]),
        figure("c=1 p50 bare nginx", "µs", p50["bare nginx"]),
        figure("c=1 p50 nginx", "µs", p50["nginx"]),
        figure("c=1 p50 sidecar", "µs", p50["sidecar"]),
        figure("c=1 p50 added by nginx", "µs", differences(p50["nginx"], p50["direct"]), at_most(80)),
        figure("c=1 p99 direct", "µs", p99["direct"]),
        figure("c=1 p99 nginx", "µs", p99["nginx"]),
        figure("c=1 p99 sidecar", "µs", p99["sidecar"]),
    ]
