"""KServe v2 over HTTP, for the requests that nginx could not have answered by Triton alone."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from multidict import CIMultiDict

from sidecar.errors import BadInputError, ServingError, UnknownTenantError
from sidecar.kserve import BINARY_HEADER, check_body
from sidecar.observability.middleware import adopt_caller
from sidecar.observability.tracing import Tracing
from sidecar.serving import Call, Serving, model_path
from sidecar.supply import Origin
from sidecar.triton_client import Answer, TritonClient
from sidecar.unpacking import UnpackedTooLargeError, unpack
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

log = logging.getLogger(__name__)

COLD_HEADER = "Orchard-Cold"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(serving: Serving, triton: TritonClient, tracing: Tracing, max_body: int) -> web.Application:
    """The application; `max_body` is in bytes."""
    app = web.Application(client_max_size=max_body, middlewares=[adopt_caller(tracing, answer=False), errors_as_json])
    app.add_routes(_KServe(serving, triton).routes())
    return app


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as KServe does: `{"error": "..."}`, with `Retry-After` where a retry helps."""
    try:
        return await handler(request)
    except ServingError as error:
        return _error(error.http_status, str(error), error.retry_after)
    except web.HTTPRequestEntityTooLarge as error:
        return _error(error.status, f"the body is larger than {request.app._client_max_size} bytes: split the request")
    except web.HTTPException as error:
        return _error(error.status, f"{request.method} {request.path}: {error.reason}")
    except ConnectionResetError:
        raise
    except Exception:
        log.exception("a fault of the sidecar at %s %s", request.method, request.path)
        return _error(500, "internal error: see the sidecar's log")


def tenant_of(request: web.Request) -> TenantId:
    """The tenant named in the path. Raises `BadInputError` if that is none."""
    try:
        return tenant_id(request.match_info["tenant"])
    except BadTenantIdError as error:
        raise BadInputError(str(error)) from None


async def body_of(request: web.Request) -> bytes:
    """The whole body, unpacked if it came compressed.

    Raises:
        BadInputError: it is not compressed as its headers say, or ends before it should.
        HTTPRequestEntityTooLarge: it is larger than the application takes, as it comes or unpacked.
    """
    limit = request.app._client_max_size
    try:
        body = await request.read()
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        return body if encoding == "identity" else await asyncio.to_thread(unpack, body, encoding, limit)
    except web.RequestPayloadError:
        raise BadInputError("the body ends before it should") from None
    except UnpackedTooLargeError:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=limit + 1) from None


def is_missing(answer: Answer) -> bool:
    """Whether Triton's answer says that the model is not resident."""
    return answer.status in (404, 503)


class _KServe:
    def __init__(self, serving: Serving, triton: TritonClient) -> None:
        self._serving = serving
        self._triton = triton

    def routes(self) -> list[web.RouteDef]:
        routes = []
        for base in ("/v2/models/{tenant}", r"/v2/models/{tenant}/versions/{version:\d{1,19}}"):
            routes += [
                web.post(base + "/infer", self._infer),
                web.get(base + "/ready", self._ready),
                web.get(base + "/config", self._about),
                web.get(base, self._about),
            ]
        return routes

    async def _infer(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        json_length = request.headers.get(BINARY_HEADER)

        def check(manifest: Manifest) -> None:
            check_body(body, json_length, manifest)

        tenant, version = tenant_of(request), _version(request)

        def send() -> Awaitable[Answer]:
            return self._triton.forward("POST", model_path(tenant, version, "/infer"), _plain(request), body)

        return _response(*await self._serving.answer(Call(tenant, send, is_missing, check, version)))

    async def _about(self, request: web.Request) -> web.Response:
        tenant, version = tenant_of(request), _version(request)
        rest = "/config" if request.path.endswith("/config") else ""

        def send() -> Awaitable[Answer]:
            return self._triton.forward("GET", model_path(tenant, version, rest), request.headers, None)

        return _response(*await self._serving.answer(Call(tenant, send, is_missing, version=version)))

    async def _ready(self, request: web.Request) -> web.Response:
        tenant = tenant_of(request)
        if not await self._serving.is_servable(tenant):
            raise UnknownTenantError(f"tenant {tenant!r} is not in the store: publish it, or check the name")
        return web.Response()


def _version(request: web.Request) -> int | None:
    text = request.match_info.get("version")
    return int(text) if text else None


def _plain(request: web.Request) -> CIMultiDict[str]:
    # The body's compression is undone.
    headers = CIMultiDict(request.headers)
    headers.popall("Content-Encoding", None)
    return headers


def _response(answer: Answer, origin: Origin | None) -> web.Response:
    headers = dict(answer.headers)
    if origin is not None:
        headers[COLD_HEADER] = origin.value
    return web.Response(status=answer.status, headers=headers, body=answer.body)


def _error(status: int, message: str, retry_after: int | None = None) -> web.Response:
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return web.json_response({"error": message}, status=status, headers=headers)
