"""Resident tenants called as boto3 calls a managed endpoint: one row of CSV, beside the same row by KServe."""

from collections import defaultdict
from dataclasses import dataclass

import boto3
import numpy as np

from loadtests.bench.figures import Figure, at_least, figure, ratios
from loadtests.bench.processes import cpu_seconds, with_children
from loadtests.bench.setting import Bench
from loadtests.bench.tenants import MEDIUM
from loadtests.bench.wrk import LoadResult, drive
from loadtests.fraud_data import Floats
from loadtests.kserve import BinaryRequest, binary_request, infer_path

CONNECTIONS = 16
TENANT = MEDIUM.tenants[0]
PATH = "/endpoints/bench/invocations"


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to ask for the same prediction, and the process in front of Triton on it."""

    name: str
    url: str
    request: BinaryRequest
    pid: int


@dataclass(frozen=True, slots=True)
class _Round:
    load: LoadResult
    front_cpu: float


def measure(bench: Bench) -> list[Figure]:
    """Throughput and processor time at 16 connections: KServe, SageMaker through njs, SageMaker all through Python."""
    node = bench.node
    row = bench.references[TENANT].rows[:1]
    nginx, sidecar = node.pid("nginx"), node.pid("sidecar")
    ways = [
        _Way("kserve", f"http://{node.at.http}{infer_path(TENANT)}", binary_request(row), nginx),
        _Way("njs", f"http://{node.at.http}{PATH}", csv_request(row), nginx),
        _Way("sidecar", f"http://{node.at.sidecar_http}{PATH}", csv_request(row), sidecar),
    ]
    bench.check(node.at.http, TENANT)
    _check(bench, csv_request(row))
    rounds: defaultdict[str, list[_Round]] = defaultdict(list)
    for number in range(bench.pace.rounds):
        for way in ways[number % 3 :] + ways[: number % 3]:
            bench.say(f"round {number + 1} of {bench.pace.rounds}: SageMaker path, {way.name}")
            rounds[way.name].append(_measure(bench, way))
    return _figures(rounds)


def csv_request(rows: Floats) -> BinaryRequest:
    """An invocation with `rows`, as boto3 sends one."""
    body = "\n".join(",".join("" if np.isnan(value) else repr(value) for value in row) for row in rows.tolist())
    headers = {"Content-Type": "text/csv", "X-Amzn-SageMaker-Target-Model": f"{TENANT}.tar.gz"}
    return BinaryRequest(body.encode(), headers)


def _check(bench: Bench, request: BinaryRequest) -> None:
    """Ask with boto3. The first call teaches nginx how the tenant answers; the second need not see the sidecar."""
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://{bench.node.at.http}",
        region_name="eu-central-1",
        aws_access_key_id="unused",
        aws_secret_access_key="unused",
    )
    for _ in range(2):
        answer = client.invoke_endpoint(
            EndpointName="bench", TargetModel=f"{TENANT}.tar.gz", ContentType="text/csv", Body=request.body
        )
        positive = float(answer["Body"].read())
        bench.judge(TENANT, np.array([[1 - positive, positive]], np.float32))


def _measure(bench: Bench, way: _Way) -> _Round:
    pids = with_children(way.pid)
    before = cpu_seconds(pids)
    load = drive(way.url, way.request, bench.scratch / "invocation.bin", CONNECTIONS, bench.pace.seconds)
    return _Round(load, (cpu_seconds(pids) - before) / load.requests)


def _figures(rounds: dict[str, list[_Round]]) -> list[Figure]:
    rate = {name: [each.load.rate for each in of_way] for name, of_way in rounds.items()}
    front = {name: [each.front_cpu * 1e6 for each in of_way] for name, of_way in rounds.items()}
    return [
        figure("SageMaker c=16 njs", "req/s", rate["njs"]),
        figure("SageMaker c=16 sidecar", "req/s", rate["sidecar"]),
        figure("KServe c=16 nginx", "req/s", rate["kserve"]),
        figure("SageMaker njs / sidecar", "", ratios(rate["njs"], rate["sidecar"]), at_least(3)),
        figure("SageMaker njs / KServe", "", ratios(rate["njs"], rate["kserve"])),
        figure("CPU/request SageMaker njs", "µs", front["njs"]),
        figure("CPU/request SageMaker sidecar", "µs", front["sidecar"]),
        figure("CPU/request KServe nginx", "µs", front["kserve"]),
    ]
