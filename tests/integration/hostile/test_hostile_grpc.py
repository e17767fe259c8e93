"""gRPC calls that lie, and bytes that are no calls."""

from collections.abc import Iterator
from random import Random
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from tests.integration.hostile.calls import FEATURES, ROW, damaged
from tests.integration.hostile.conftest import ANSWER_SECONDS, Target, peak_memory

SERVICE = "/inference.GRPCInferenceService/"
TENANTS = ("warm", "cold")
METHODS = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig", "ModelInfer")
RAW = ROW.tobytes()
# What gRPC calls a 4xx.
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Caller:
    """Sends bytes to the public gRPC port. `right_cold_calls` of a target counts those that were right after all."""

    def __init__(self, target: Target) -> None:
        self._target = target
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._channel = grpc.insecure_channel(target.orchard.node.grpc_address, options=options)

    def close(self) -> None:
        self._channel.close()

    def send(self, method: str, body: bytes, **options: Any) -> grpc.StatusCode:
        """The status, OK for an answer. Whatever is refused is refused with words."""
        sent = self._channel.unary_unary(SERVICE + method).future(body, timeout=ANSWER_SECONDS, **options)
        assert sent.code() is grpc.StatusCode.OK or sent.details()
        return sent.code()

    def infer(self, request: Any) -> grpc.StatusCode:
        status = self.send("ModelInfer", request if isinstance(request, bytes) else request.SerializeToString())
        if status is grpc.StatusCode.OK and "cold" in self._target.orchard.residents():
            self._target.right_cold_calls += 1
            self._target.orchard.unload("cold")
        return status


@pytest.fixture
def caller(target: Target) -> Iterator[Caller]:
    caller = Caller(target)
    yield caller
    caller.close()


def call(
    tenant: str,
    shape: tuple[int, ...] = (1, FEATURES),
    raw: tuple[bytes, ...] = (RAW,),
    typed: int = 0,
    datatype: str = "FP32",
    **fields: Any,
) -> Any:
    """A ModelInferRequest with one input: `raw` contents, and `typed` zeros."""
    request = service_pb2.ModelInferRequest(model_name=tenant, raw_input_contents=raw, **fields)
    tensor = request.inputs.add(name="input__0", datatype=datatype, shape=shape)
    tensor.contents.fp32_contents.extend([0.0] * typed) if typed else None
    return request


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    "shape",
    [(), (6,), (0, 6), (-1, 6), (-1, -6), (2, 6), (1, 5), (1, 7), (1, 1, 6), (2**31, 6), (2**62, 6), (2**63 - 1, 6),
     (2**61, 8), (10**9, 6), (1,) * 10_000],
    ids=lambda shape: str(shape[:3]),
)  # fmt: skip
def test_a_shape_that_lies_is_refused(caller: Caller, tenant: str, shape: tuple[int, ...]) -> None:
    assert caller.infer(call(tenant, shape)) in REFUSALS
    assert caller.infer(call(tenant, shape, raw=(), typed=6)) in REFUSALS


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    "raw", [(), (b"",), (RAW[:-1],), (RAW[:-4],), (RAW + b"x",), (RAW + RAW,), (RAW, RAW), (b"",) * 10_000],
    ids=lambda raw: f"{len(raw)} of {len(raw[0]) if raw else 0}",
)  # fmt: skip
def test_contents_that_do_not_fit_are_refused(caller: Caller, tenant: str, raw: tuple[bytes, ...]) -> None:
    assert caller.infer(call(tenant, raw=raw)) in REFUSALS


@pytest.mark.parametrize("tenant", TENANTS)
def test_contents_of_two_kinds_or_of_another_type_are_refused(caller: Caller, tenant: str) -> None:
    assert caller.infer(call(tenant, typed=6)) in REFUSALS
    for datatype in ("FP64", "BYTES", "INT8", "BOOL", "", "POTATO"):
        assert caller.infer(call(tenant, datatype=datatype)) in REFUSALS
        assert caller.infer(call(tenant, raw=(b"\xff\xff\xff\x7f" * 6,), datatype=datatype)) in REFUSALS
    for field in (
        "int_contents",
        "int64_contents",
        "uint_contents",
        "uint64_contents",
        "fp64_contents",
        "bool_contents",
    ):
        request = call(tenant, raw=())
        getattr(request.inputs[0].contents, field).extend([1] * 6)
        assert caller.infer(request) in REFUSALS, field
        request.inputs[0].contents.fp32_contents.extend([1] * 6)
        assert caller.infer(request) in REFUSALS, field


@pytest.mark.parametrize("tenant", TENANTS)
def test_parameters_that_are_not_offered_are_refused(caller: Caller, tenant: str) -> None:
    for name, field, value in (
        ("shared_memory_region", "string_param", "x"),
        ("shared_memory_byte_size", "int64_param", 24),
    ):
        request = call(tenant, raw=())
        setattr(request.inputs[0].parameters[name], field, value)
        assert caller.infer(request) in REFUSALS
        request = call(tenant)
        setattr(request.outputs.add(name="output__0").parameters[name], field, value)
        assert caller.infer(request) in REFUSALS
    for name, field, value in (
        ("classification", "int64_param", -1),
        ("classification", "string_param", "x"),
    ):
        request = call(tenant)
        setattr(request.outputs.add(name="output__0").parameters[name], field, value)
        assert caller.infer(request) in REFUSALS
    for name, field, value in (
        ("sequence_id", "string_param", "x" * 300),
        ("sequence_start", "int64_param", 3),
        ("priority", "string_param", "x"),
        ("timeout", "string_param", "x"),
        ("triton_x", "bool_param", True),
    ):
        request = call(tenant)
        setattr(request.parameters[name], field, value)
        assert caller.infer(request) in REFUSALS, name


@pytest.mark.parametrize("tenant", TENANTS)
def test_inputs_and_outputs_there_are_none_of_are_refused(caller: Caller, tenant: str) -> None:
    request = call(tenant)
    request.outputs.add(name="output__9")
    assert caller.infer(request) in REFUSALS
    request = call(tenant)
    request.inputs[0].name = "input__9"
    assert caller.infer(request) in REFUSALS
    request = call(tenant, raw=(RAW, RAW))
    request.inputs.add().CopyFrom(request.inputs[0])
    assert caller.infer(request) in REFUSALS
    assert caller.infer(service_pb2.ModelInferRequest(model_name=tenant)) in REFUSALS


@pytest.mark.parametrize(
    "name", ["", "Cold", "../cold", "cold/../warm", "c\u0660ld", "cold\0", " cold", "x" * 129, "x" * 99_999]
)
@pytest.mark.parametrize("version", ["", "1"])
def test_what_is_no_tenant_is_refused_by_every_method(caller: Caller, name: str, version: str) -> None:
    assert caller.infer(call(name, model_version=version)) in REFUSALS
    for method in ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"):
        request = getattr(service_pb2, f"{method}Request")(name=name, version=version)
        assert caller.send(method, request.SerializeToString()) in REFUSALS


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    "version", ["0", "-1", "x", "9" * 19, "9" * 20, "18446744073709551617", "\u0661", " 1", "1.0", "v" * 9999]
)
def test_no_odd_version_loads_anything(caller: Caller, tenant: str, version: str) -> None:
    assert caller.infer(call(tenant, model_version=version)) in REFUSALS


@pytest.mark.parametrize("tenant", TENANTS)
def test_damaged_messages_are_refused_or_right(caller: Caller, tenant: str) -> None:
    random = Random(9)
    body = call(tenant).SerializeToString()
    for number in range(300):
        assert caller.infer(damaged(body, random)) in {*REFUSALS, grpc.StatusCode.OK}, number


def test_junk_to_every_method_is_refused_or_nothing(caller: Caller) -> None:
    random = Random(13)
    for method in METHODS:
        for _ in range(20):
            status = caller.send(method, random.randbytes(random.randint(1, 300)))
            assert status in REFUSALS or (method.startswith("Server") and status is grpc.StatusCode.OK)


@pytest.mark.parametrize(
    "method",
    ["RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload", "SystemSharedMemoryRegister", "TraceSetting",
     "LogSettings", "CudaSharedMemoryRegister", "ModelStreamInfer", "Nonsense"],
)  # fmt: skip
def test_what_is_tritons_own_is_not_there(caller: Caller, method: str) -> None:
    request = service_pb2.RepositoryModelLoadRequest(model_name="cold").SerializeToString()
    assert caller.send(method, request) is grpc.StatusCode.UNIMPLEMENTED


def test_odd_metadata_brings_nothing_down(caller: Caller) -> None:
    for metadata in (
        [("x-request-id", "x" * 5000)],
        [("traceparent", "00-" + "f" * 500)],
        [("a-bin", bytes(4000))],
        [(f"a{number}", "b") for number in range(100)],
        [("x-api-key", "a")] * 50,
        [("orchard-cold", "disk")],
    ):
        status = caller.send("ModelInfer", call("nobody").SerializeToString(), metadata=metadata)
        assert status in {*REFUSALS, grpc.StatusCode.UNAUTHENTICATED}


def test_a_bomb_is_not_unpacked(caller: Caller, target: Target) -> None:
    before = [peak_memory(pid) for pid in target.pids()]
    bomb = call("warm", raw=(bytes(300 << 20),)).SerializeToString()
    assert caller.send("ModelInfer", bomb, compression=grpc.Compression.Gzip) is grpc.StatusCode.UNIMPLEMENTED
    grown = [now - was for now, was in zip(map(peak_memory, target.pids()), before, strict=True)]
    assert max(grown) < 100 << 20


def test_a_message_over_the_limit_is_refused(caller: Caller) -> None:
    assert caller.infer(call("cold", raw=(bytes(65 << 20),))) is grpc.StatusCode.RESOURCE_EXHAUSTED
