"""Reading Triton's statistics while models come and go, from a gRPC server that answers as Triton was seen to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from sidecar.errors import TritonUnavailableError
from sidecar.settings import Address
from sidecar.triton_client import TritonClient
from tritonclient.grpc import service_pb2

LEFT = "Request for unknown model: 'm2' version 7 is not at ready state"


@asynccontextmanager
async def triton_that_fails(times: int, details: str) -> AsyncIterator[TritonClient]:
    """A client of a server whose statistics fail as often as told, and then are those of one model."""
    failures_left = times

    async def statistics(request: Any, context: Any) -> Any:
        nonlocal failures_left
        if failures_left:
            failures_left -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, details)
        return service_pb2.ModelStatisticsResponse(model_stats=[{"name": "m1", "version": "3"}])

    handler = grpc.unary_unary_rpc_method_handler(
        statistics,
        request_deserializer=service_pb2.ModelStatisticsRequest.FromString,
        response_serializer=service_pb2.ModelStatisticsResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelStatistics": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with TritonClient(Address("127.0.0.1", 1), Address("127.0.0.1", port)) as client:
            yield client
    finally:
        await server.stop(None)


async def test_a_model_that_leaves_while_the_statistics_are_read_does_not_hide_the_others() -> None:
    async with triton_that_fails(2, LEFT) as client:
        assert [(usage.tenant, usage.version) for usage in await client.usage()] == [("m1", 3)]


async def test_statistics_that_never_come_are_an_unavailable_triton() -> None:
    async with triton_that_fails(1_000, LEFT) as client:
        with pytest.raises(TritonUnavailableError):
            await client.usage()


async def test_an_unavailable_triton_is_not_asked_again() -> None:
    async with triton_that_fails(1, "connection refused") as client:
        with pytest.raises(TritonUnavailableError):
            await client.usage()
