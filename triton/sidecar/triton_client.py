"""Triton as the sidecar uses it: control over gRPC, inference passed through over HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
import grpc
import grpc.aio
from tritonclient.grpc import service_pb2, service_pb2_grpc

from sidecar.errors import LoadFailedError, TritonGoneError, TritonUnavailableError
from sidecar.settings import Address
from tools.catalog.tenant import TenantId

GRPC_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)

# Unasked, gRPC lets seconds and then minutes pass before it looks again for a server that was away.
_CHANNEL_OPTIONS = (
    *GRPC_OPTIONS,
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # how long one attempt may take, whatever its name says
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
)
_CONTROL_DEADLINE = 5.0  # seconds; these calls take milliseconds
_STATISTICS_ATTEMPTS = 5
_MODEL_LEFT = "unknown model"  # with "is not at ready state" after the name
_REQUEST_HEADERS = ("Content-Type", "Content-Encoding", "Accept-Encoding", "Inference-Header-Content-Length")
# Without it Triton's HTTP port refuses inference: see launch.sh.
CHECKED = {"Orchard-Checked": "yes"}
_ANSWER_HEADERS = ("Content-Type", "Content-Encoding", "Inference-Header-Content-Length", "Retry-After")
_HOLDS_MEMORY = frozenset({"READY", "LOADING", "UNLOADING"})
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


@dataclass(frozen=True, slots=True)
class Usage:
    """What Triton counted for one loaded model.

    `requests` were answered, in `seconds` of Triton's own time altogether, and `failures` were not. The last of them
    was at `last_used`, in epoch seconds (0: none).
    """

    tenant: str
    version: int
    requests: int
    last_used: float
    failures: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TritonClient:
    """One Triton, by address. Use as an async context manager."""

    def __init__(self, http: Address, grpc_address: Address) -> None:
        self._base = f"http://{http}"
        self._grpc_address = str(grpc_address)

    async def __aenter__(self) -> Self:
        self.channel = grpc.aio.insecure_channel(self._grpc_address, options=_CHANNEL_OPTIONS)
        self._stub: Any = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=256),
            timeout=aiohttp.ClientTimeout(total=60),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        await self.channel.close()

    async def watch(self, on_loss: Callable[[], None]) -> None:
        """Call `on_loss` whenever a connection that stood has ended, until cancelled."""
        state = self.channel.get_state(try_to_connect=True)
        while True:
            await self.channel.wait_for_state_change(state)
            if state is grpc.ChannelConnectivity.READY:
                on_loss()
            state = self.channel.get_state(try_to_connect=True)

    async def check_http(self) -> None:
        """Raises `TritonUnavailableError` unless the HTTP port, which is opened last and closed first, answers."""
        await self.forward("GET", "/v2/health/live", {}, None)

    async def is_ready(self) -> bool:
        """Whether Triton answers and says that it is ready."""
        try:
            answer = await self._stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=_CONTROL_DEADLINE)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.ready)

    async def version(self) -> str:
        """The server's version, or "unknown" when it does not answer."""
        try:
            answer = await self._stub.ServerMetadata(service_pb2.ServerMetadataRequest(), timeout=_CONTROL_DEADLINE)
        except grpc.aio.AioRpcError:
            return "unknown"
        return str(answer.version)

    async def load(self, tenant: TenantId, deadline: float) -> None:
        """Load the tenant's entry from the repository; returns when it answers.

        Raises:
            LoadFailedError: Triton refused it, or did not finish within `deadline` seconds.
            TritonUnavailableError: Triton does not answer.
        """
        try:
            await self._stub.RepositoryModelLoad(
                service_pb2.RepositoryModelLoadRequest(model_name=tenant), timeout=deadline
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise LoadFailedError(f"Triton did not load {tenant} within {deadline:g} s") from None
            raise _as_serving_error(error, f"Triton would not load {tenant}") from None

    async def unload(self, tenant: TenantId) -> None:
        """Ask Triton to unload. Returns before the memory is free: see `held`.

        Raises:
            TritonUnavailableError: Triton does not answer.
        """
        try:
            await self._stub.RepositoryModelUnload(
                service_pb2.RepositoryModelUnloadRequest(model_name=tenant), timeout=_CONTROL_DEADLINE
            )
        except grpc.aio.AioRpcError as error:
            raise _as_serving_error(error, f"Triton would not unload {tenant}") from None

    async def held(self) -> dict[str, frozenset[int]]:
        """The versions of each model that may be using memory now: ready, loading or unloading.

        Walks the whole repository: ask rarely.

        Raises:
            TritonUnavailableError: Triton does not answer.
        """
        try:
            index = await self._stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(), timeout=_CONTROL_DEADLINE)
        except grpc.aio.AioRpcError as error:
            raise _as_serving_error(error, "Triton would not list its models") from None
        held: dict[str, frozenset[int]] = {}
        for model in index.models:
            if model.state in _HOLDS_MEMORY:
                held[model.name] = held.get(model.name, frozenset()) | {int(model.version or 0)}
        return held

    async def usage(self) -> list[Usage]:
        """Triton's request counts for every loaded model.

        Raises:
            TritonUnavailableError: Triton does not answer.
        """
        answer = await self._statistics()
        return [
            Usage(
                tenant=model.name,
                version=int(model.version),
                requests=model.inference_stats.success.count,
                last_used=model.last_inference / 1000,
                failures=model.inference_stats.fail.count,
                seconds=model.inference_stats.success.ns / 1e9,
            )
            for model in answer.model_stats
        ]

    async def _statistics(self) -> Any:
        attempts_left = _STATISTICS_ATTEMPTS
        while True:
            attempts_left -= 1
            try:
                return await self._stub.ModelStatistics(service_pb2.ModelStatisticsRequest(), timeout=_CONTROL_DEADLINE)
            except grpc.aio.AioRpcError as error:
                # Triton lists its models and then reads each: one that leaves in between fails the whole call.
                if _MODEL_LEFT not in (error.details() or "") or not attempts_left:
                    raise _as_serving_error(error, "Triton would not give its statistics") from None

    async def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Send one request to Triton's HTTP port as it is, and return what it answered.

        The request must have been checked: Triton does not survive every body.
        `headers` ignore case, as the ones of a request do.

        Raises:
            TritonGoneError: Triton closed the connection twice, or its port is closed.
            TritonUnavailableError: Triton does not answer.
        """
        kept = {name: headers[name] for name in _REQUEST_HEADERS if name in headers} | CHECKED
        try:
            return await self._exchange(method, path, kept, body)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # Triton closes a kept connection when it likes, perhaps as we take it up. To ask twice does no harm.
            pass
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away(error) from None
        try:
            return await self._exchange(method, path, kept, body)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _away(error) from None

    async def _exchange(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        async with self._session.request(method, self._base + path, headers=headers, data=body) as response:
            return Answer(
                status=response.status,
                headers={name: response.headers[name] for name in _ANSWER_HEADERS if name in response.headers},
                body=await response.read(),
            )


def _away(error: Exception) -> TritonUnavailableError:
    message = f"Triton does not answer: {error}; try again shortly"
    if isinstance(error, TimeoutError):
        return TritonUnavailableError(message)
    return TritonGoneError(message)


def _as_serving_error(error: grpc.aio.AioRpcError, what: str) -> LoadFailedError | TritonUnavailableError:
    if error.code() in _AWAY:
        return TritonGoneError(f"Triton does not answer ({error.code().name}); try again shortly")
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TritonUnavailableError(f"Triton does not answer ({error.code().name}); try again shortly")
    return LoadFailedError(f"{what}: {error.details()}")
