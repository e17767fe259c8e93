"""What can be seen of a whole node: metrics, the log, request ids and traces."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import tritonclient.grpc
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.orchard import COLD_HEADER, Orchard, binary_call, settings_for
from tests.integration.otlp_receiver import OtlpReceiver
from tests.integration.sagemaker import csv_of, invoke, runtime
from tests.models import train
from tools.stack import Node

TENANTS = [f"t{number}" for number in range(6)]
PLACES = 2
ROOM_FOR = 3
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def orchard(collector: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("observed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHARD_TOP_TENANTS", str(PLACES))
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with Node(settings_for(folder, memory_budget=(ROOM_FOR + 1) * 400_000, pinned=("pinned",))) as node:
            orchard = Orchard(folder, node)
            orchard.publish(
                pinned=train("binary:logistic"),
                **{name: train("binary:logistic", seed=n) for n, name in enumerate(TENANTS)},
            )
            yield orchard


def metrics(orchard: Orchard) -> dict[str, float]:
    """The samples at /metrics, by name and labels as Prometheus writes them."""
    text = requests.get(f"{orchard.node.admin_url}/metrics", timeout=10).text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def log_lines(orchard: Orchard) -> list[dict[str, Any]]:
    return [json.loads(line) for line in orchard.node.log("sidecar").read_text().splitlines()]


def test_warm_and_cold_calls_are_counted_and_timed_on_every_way_in(orchard: Orchard) -> None:
    orchard.check("t0")
    time.sleep(2.5)  # until everything so far is counted
    before = metrics(orchard)
    for _ in range(5):
        orchard.check("t0")
    orchard.unload("t0")
    assert orchard.check("t0").headers[COLD_HEADER] == "disk"
    _call_by_grpc(orchard, "t0")
    invoke(runtime(orchard.node.http_url), "t0.tar.gz", csv_of(orchard.models["t0"].rows[:1]))
    orchard.ask("nobody", orchard.models["t0"].rows[:1])

    def counted() -> bool:
        now = metrics(orchard)
        grown = {name: now[name] - before.get(name, 0.0) for name in now}
        return (
            grown["orchard_requests_total"] == 8
            and grown['orchard_request_seconds_count{start="warm"}'] == 7
            and grown['orchard_request_seconds_count{start="disk"}'] == 1
            and grown['orchard_answers_total{status="200"}'] == 7
            and grown['orchard_answers_total{status="OK"}'] == 1
            and grown['orchard_answers_total{status="404"}'] == 1
            and grown['orchard_cold_calls_total{origin="disk"}'] == 1
            and grown['orchard_cold_starts_total{cause="unloaded"}'] == 1
            and grown["orchard_loading_wait_seconds_count"] == 1
            and grown["orchard_unload_seconds_count"] == 1
            and grown["orchard_inference_seconds_total"] > 0
        )

    _until(counted)


def test_the_parts_of_the_node_are_seen(orchard: Orchard) -> None:
    seen = metrics(orchard)
    assert seen["orchard_triton_up"] == seen["orchard_store_up"] == 1
    assert 0 < seen["orchard_disk_bytes"] <= seen["orchard_disk_budget_bytes"]
    assert seen['orchard_build_info{triton="2.51.0",version="0.1.0"}'] == 1
    assert time.time() - 600 < seen["process_start_time_seconds"] < time.time()


def test_only_pinned_tenants_and_so_many_others_have_series_of_their_own(orchard: Orchard) -> None:
    for tenant in ["pinned", *TENANTS]:
        orchard.check(tenant)

    def by_name() -> set[str]:
        named = (name.split('tenant="')[1].split('"')[0] for name in metrics(orchard) if 'tenant="' in name)
        return set(named)

    _until(lambda: "pinned" in by_name())
    assert len(by_name() - {"pinned"}) == PLACES
    seen = metrics(orchard)
    assert seen['orchard_tenant_request_seconds_count{pinned="yes",tenant="pinned"}'] >= 1
    assert seen['orchard_tenant_request_seconds{pinned="yes",quantile="0.99",tenant="pinned"}'] < 5


def test_a_cold_start_and_the_eviction_it_causes_are_logged_with_the_request_that_caused_them(orchard: Orchard) -> None:
    for tenant in TENANTS[:ROOM_FOR]:
        orchard.check(tenant)
    body, headers = binary_call(orchard.models["t5"].rows[:1])
    answer = requests.post(orchard.url("t5"), data=body, headers={**headers, "X-Request-Id": "order-4711"}, timeout=60)
    assert answer.headers["X-Request-Id"] == "order-4711"
    caused = [line for line in log_lines(orchard) if line.get("request_id") == "order-4711"]
    (loaded,) = [line for line in caused if line["event"] == "loaded"]
    assert (loaded["tenant"], loaded["level"]) == ("t5", "info")
    assert loaded["cause"] in ("new", "evicted")
    assert loaded["seconds"] > 0
    evicted = [line for line in caused if line["event"] == "departed"]
    assert evicted
    assert {line["cause"] for line in evicted} == {"evicted"}
    assert all("to make room for t5" in line["message"] for line in evicted)


def test_every_line_of_the_log_is_json(orchard: Orchard) -> None:
    lines = log_lines(orchard)
    assert lines
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)


def test_a_cold_call_is_one_trace_that_continues_the_caller_s(orchard: Orchard, collector: OtlpReceiver) -> None:
    orchard.check("t1")
    orchard.unload("t1")
    body, headers = binary_call(orchard.models["t1"].rows[:1])
    traced = {**headers, "traceparent": f"00-{TRACE}-{CALLER}-01"}
    assert COLD_HEADER in requests.post(orchard.url("t1"), data=body, headers=traced, timeout=60).headers
    _until(lambda: any(span.name == "cold call" for span in collector.of_trace(TRACE)))
    root, *parts = collector.of_trace(TRACE)
    assert (root.name, root.parent, root.service, root.tenant) == ("cold call", CALLER, "orchard-sidecar", "t1")
    assert [part.name for part in parts] == ["look", "verify", "room", "load", "answer"]
    assert {part.parent for part in parts} == {root.id}
    assert all(root.began <= part.began <= part.ended <= root.ended for part in parts)


def test_a_cold_call_from_the_store_has_its_fetch_in_the_trace(orchard: Orchard, collector: OtlpReceiver) -> None:
    orchard.publish(fresh=train("binary:logistic", seed=99))
    orchard.check("fresh")
    _until(lambda: any(span.name == "cold call" and span.tenant == "fresh" for span in collector.spans))
    (root,) = [span for span in collector.spans if span.name == "cold call" and span.tenant == "fresh"]
    assert root.parent == ""
    names = [span.name for span in collector.of_trace(root.trace)]
    assert names == ["cold call", "look", "fetch", "place", "room", "load", "answer"]


def test_warm_calls_are_not_traced(orchard: Orchard, collector: OtlpReceiver) -> None:
    orchard.check("t0")
    time.sleep(0.3)
    before = len(collector.spans)
    for _ in range(10):
        orchard.check("t0")
        _call_by_grpc(orchard, "t0")
    time.sleep(0.3)
    assert len(collector.spans) == before


def test_grpc_answers_with_the_caller_s_id_or_one_of_its_own(orchard: Orchard) -> None:
    client: Any = tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address)
    try:
        stub = client._client_stub
        request = tritonclient.grpc.service_pb2.ServerReadyRequest()
        _, call = stub.ServerReady.with_call(request, metadata=(("x-request-id", "order-1"),))
        assert dict(call.trailing_metadata())["x-request-id"] == "order-1"
        _, call = stub.ServerReady.with_call(request)
        assert len(dict(call.trailing_metadata())["x-request-id"]) == 32
    finally:
        client.close()


def _call_by_grpc(orchard: Orchard, tenant: str) -> None:
    client: Any = tritonclient.grpc.InferenceServerClient(orchard.node.grpc_address)
    rows = orchard.models[tenant].rows[:1]
    tensor = tritonclient.grpc.InferInput("input__0", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    try:
        client.infer(tenant, [tensor])
    finally:
        client.close()


def _until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
