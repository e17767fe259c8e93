"""`inference.GRPCInferenceService`, passed through to Triton byte for byte; a tenant not resident is loaded first.

Only what concerns one tenant, and the server's health, is offered: loading, listing, shared memory, tracing and
logging stay Triton's own, out of reach.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2

from sidecar.access.admission import Admission
from sidecar.access.callers import Callers
from sidecar.errors import BadInputError, ServingError
from sidecar.kserve import (
    FP32_BYTES,
    InferRequest,
    TensorHeader,
    check_output_parameters,
    check_parameters,
    check_request,
    refuse_shared_memory,
)
from sidecar.observability.request_ids import HEADER as REQUEST_ID
from sidecar.observability.request_ids import adopt_request_id
from sidecar.observability.tracing import Tracing
from sidecar.observability.traffic import Start, Traffic
from sidecar.serving import Call, Serving
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

SERVICE = "inference.GRPCInferenceService"
COLD_KEY = "orchard-cold"
_REQUEST_ID_KEY = REQUEST_ID.lower()
# gRPC's Retry-After, in milliseconds. https://github.com/grpc/proposal/blob/master/A6-client-retries.md
_PUSHBACK_KEY = "grpc-retry-pushback-ms"

# gRPC unpacks a message before it looks at its size, so a small one could take any amount of memory.
_NO_COMPRESSION = ("grpc.compression_enabled_algorithms_bitset", 1 << 0)

_FORWARD_DEADLINE = 60.0  # seconds
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
# A call that is refused counts for no tenant.
_NOBODY = TenantId("")
# What needs no API key.
_OPEN = frozenset({"ServerLive", "ServerReady"})
# NOT_FOUND: not resident. UNAVAILABLE: the same, when the call names a version.
_NOT_RESIDENT = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)

Context = Any  # grpc.aio.ServicerContext, which has no types
Method = Callable[[bytes, Context], Awaitable[bytes]]


class GrpcApi:
    """The public gRPC port."""

    def __init__(
        self,
        serving: Serving,
        channel: Any,
        traffic: Traffic,
        tracing: Tracing,
        admission: Admission,
        callers: Callers | None,
        max_body: int,
    ) -> None:
        """`channel` leads to Triton; `max_body` is in bytes. Without `callers` anybody may call."""
        self._serving = serving
        self._traffic = traffic
        self._tracing = tracing
        self._admission = admission
        self._callers = callers
        self._max_body = max_body
        self._calls = {name: channel.unary_unary(f"/{SERVICE}/{name}") for name in _METHODS}

    def build_server(self) -> Any:
        """A grpc.aio server with no port yet."""
        server = grpc.aio.server(
            options=(
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", self._max_body),
                _NO_COMPRESSION,
            )
        )
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._guarded(name, getattr(self, method)))
            for name, method in _METHODS.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        return server

    def _guarded(self, name: str, method: Method) -> Method:
        async def answer(request: bytes, context: Context) -> bytes:
            sent = dict(context.invocation_metadata())
            request_id = (_REQUEST_ID_KEY, adopt_request_id(sent))
            context.set_trailing_metadata((request_id,))
            self._tracing.adopt(sent)
            try:
                if self._callers and name not in _OPEN:
                    # Before the message is read: a stranger's may be large.
                    self._callers.authenticate(sent)
                return await method(request, context)
            except ServingError as error:
                if error.retry_after is not None:
                    pushback = (_PUSHBACK_KEY, str(1000 * error.retry_after))
                    context.set_trailing_metadata((request_id, pushback))
                code = _STATUS.get(error.http_status, grpc.StatusCode.INTERNAL)
                if name == "ModelInfer":
                    self._traffic.add(_NOBODY, code.name, Start.WARM, 0.0)
                await context.abort(code, str(error))
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details())
            raise AssertionError("abort has raised")

        return answer

    async def _server(self, name: str, request: bytes) -> bytes:
        answer: bytes = await self._calls[name](request, timeout=_FORWARD_DEADLINE)
        return answer

    async def _server_live(self, request: bytes, _: Context) -> bytes:
        _read(service_pb2.ServerLiveRequest, request)
        return await self._server("ServerLive", request)

    async def _server_ready(self, request: bytes, _: Context) -> bytes:
        _read(service_pb2.ServerReadyRequest, request)
        return await self._server("ServerReady", request)

    async def _server_metadata(self, request: bytes, _: Context) -> bytes:
        _read(service_pb2.ServerMetadataRequest, request)
        return await self._server("ServerMetadata", request)

    def _called(self, context: Context, text: str) -> TenantId:
        """The tenant named `text`, if this call may be one of it."""
        tenant = _tenant(text)
        if self._callers:
            self._callers.admit(dict(context.invocation_metadata()), tenant)
        return tenant

    async def _model_ready(self, request: bytes, context: Context) -> bytes:
        tenant = self._called(context, _read(service_pb2.ModelReadyRequest, request).name)
        with self._admission.call(tenant):
            ready = await self._serving.is_servable(tenant)
        answer: bytes = service_pb2.ModelReadyResponse(ready=ready).SerializeToString()
        return answer

    async def _model_metadata(self, request: bytes, context: Context) -> bytes:
        asked = _read(service_pb2.ModelMetadataRequest, request)
        return await self._for_tenant("ModelMetadata", request, context, asked.name, asked.version)

    async def _model_config(self, request: bytes, context: Context) -> bytes:
        asked = _read(service_pb2.ModelConfigRequest, request)
        return await self._for_tenant("ModelConfig", request, context, asked.name, asked.version)

    async def _model_statistics(self, request: bytes, context: Context) -> bytes:
        # Without a name Triton would list every tenant. There are no statistics of one that is not resident.
        tenant = self._called(context, _read(service_pb2.ModelStatisticsRequest, request).name)
        with self._admission.call(tenant):
            return await self._server("ModelStatistics", request)

    async def _model_infer(self, request: bytes, context: Context) -> bytes:
        asked = _read(service_pb2.ModelInferRequest, request)
        read = _as_read(asked)
        return await self._for_tenant(
            "ModelInfer",
            request,
            context,
            asked.model_name,
            asked.model_version,
            lambda manifest: check_request(read, manifest),
        )

    async def _for_tenant(
        self,
        name: str,
        request: bytes,
        context: Context,
        tenant_text: str,
        version_text: str,
        check: Callable[[Manifest], None] = lambda _: None,
    ) -> bytes:
        tenant, version = self._called(context, tenant_text), _version(version_text)
        began, start = time.monotonic(), Start.WARM
        with self._admission.call(tenant):
            reply = await self._attempt(name, request)
            if _is_missing(reply):
                call = Call(tenant, lambda: self._attempt(name, request), _is_missing, check, version)
                reply, origin = await self._serving.answer(call)
                if origin is not None:
                    start = Start(origin.value)
                    await context.send_initial_metadata(((COLD_KEY, origin.value),))
        if name == "ModelInfer":
            self._traffic.add(tenant, _code(reply), start, time.monotonic() - began)
        if isinstance(reply, grpc.aio.AioRpcError):
            raise reply
        return reply

    async def _attempt(self, name: str, request: bytes) -> bytes | grpc.aio.AioRpcError:
        try:
            return await self._server(name, request)
        except grpc.aio.AioRpcError as error:
            return error


_METHODS = {
    "ServerLive": "_server_live",
    "ServerReady": "_server_ready",
    "ServerMetadata": "_server_metadata",
    "ModelReady": "_model_ready",
    "ModelMetadata": "_model_metadata",
    "ModelConfig": "_model_config",
    "ModelStatistics": "_model_statistics",
    "ModelInfer": "_model_infer",
}


def _read(message: Any, request: bytes) -> Any:
    try:
        return message.FromString(request)
    except Exception:  # protobuf's DecodeError has no stable home
        raise BadInputError(f"the bytes are not a {message.DESCRIPTOR.name}") from None


def _is_missing(reply: bytes | grpc.aio.AioRpcError) -> bool:
    return isinstance(reply, grpc.aio.AioRpcError) and reply.code() in _NOT_RESIDENT


def _code(reply: bytes | grpc.aio.AioRpcError) -> str:
    code = reply.code() if isinstance(reply, grpc.aio.AioRpcError) else grpc.StatusCode.OK
    return str(code.name)


def _tenant(text: str) -> TenantId:
    try:
        return tenant_id(text)
    except BadTenantIdError as error:
        raise BadInputError(str(error)) from None


def _version(text: str) -> int | None:
    if text and not (text.isdecimal() and len(text) <= 19):
        raise BadInputError(f"{text[:40]!r} is not a version: leave it out for the live one")
    return int(text) if text else None


def _as_read(request: Any) -> InferRequest:
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise BadInputError(f"{len(request.inputs)} inputs, but raw contents for {len(raw)}")
    check_parameters(_parameters(request))
    for output in request.outputs:
        check_output_parameters(_parameters(output))
    inputs = tuple(_tensor(tensor, raw[place] if raw else None) for place, tensor in enumerate(request.inputs))
    return InferRequest(inputs, tuple(output.name for output in request.outputs))


def _tensor(tensor: Any, raw: bytes | None) -> TensorHeader:
    refuse_shared_memory(tensor.parameters)
    typed = [field.name for field, _ in tensor.contents.ListFields()]
    if raw is None:
        if typed not in ([], ["fp32_contents"]):
            raise BadInputError(f"the contents of {tensor.name[:80]!r} are {typed[0]}; FP32 values are fp32_contents")
        values = len(tensor.contents.fp32_contents)
    else:
        if typed or len(raw) % FP32_BYTES:
            raise BadInputError(f"the contents of {tensor.name[:80]!r} are not raw FP32 values and nothing else")
        values = len(raw) // FP32_BYTES
    return TensorHeader(tensor.name, tensor.datatype, tuple(tensor.shape), values)


def _parameters(message: Any) -> dict[str, Any]:
    chosen = {name: (value, value.WhichOneof("parameter_choice")) for name, value in message.parameters.items()}
    return {name: getattr(value, kind) if kind else None for name, (value, kind) in chosen.items()}
