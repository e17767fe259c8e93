"""The admin port: the multi-model container contract, the status, and the metrics. Never public.

Source of the contract: Amazon SageMaker AI developer guide, "Custom containers contract for multi-model endpoints".
"""

import json
from contextlib import suppress
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from sidecar.access.admin import require_token
from sidecar.errors import AlreadyLoadedError, BadInputError, ServingError, UnknownTenantError
from sidecar.http_api import body_of, errors_as_json, tenant_of
from sidecar.load_guard import LoadGuard
from sidecar.loader import Loader
from sidecar.observability.events import Journal
from sidecar.observability.metrics import Metrics
from sidecar.observability.middleware import adopt_caller
from sidecar.observability.tracing import Tracing
from sidecar.observer import Before
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.sagemaker_invocations import Invocations
from sidecar.serving import Serving
from sidecar.slot import Slot, State
from sidecar.triton_client import TritonClient
from sidecar.updates import LiveUpdates
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

_PAGE = 100


class AdminApi:
    """The routes of the admin port."""

    def __init__(
        self,
        residency: Residency,
        serving: Serving,
        loader: Loader,
        guard: LoadGuard,
        recency: Recency[Before],
        triton: TritonClient,
        invocations: Invocations,
        updates: LiveUpdates,
        journal: Journal,
        metrics: Metrics,
        store: str,
    ) -> None:
        self._residency = residency
        self._serving = serving
        self._loader = loader
        self._guard = guard
        self._recency = recency
        self._triton = triton
        self._invocations = invocations
        self._updates = updates
        self._journal = journal
        self._metrics = metrics
        self._store = store

    def build_app(self, tracing: Tracing, max_body: int, token: str = "") -> web.Application:
        """The application; `max_body` is in bytes. With a `token`, only who has it is answered."""
        guards = [require_token(token)] if token else []
        app = web.Application(
            client_max_size=max_body, middlewares=[adopt_caller(tracing, answer=True), *guards, errors_as_json]
        )
        app.add_routes(
            [
                web.get("/ping", self._ping),
                web.get("/metrics", self._render_metrics),
                web.get("/status", self._status),
                web.get("/models", self._list),
                web.post("/models", self._load),
                web.get("/models/{tenant}", self._describe),
                web.delete("/models/{tenant}", self._unload),
                web.post("/models/{tenant}/invoke", self._invoke),
                web.put("/models/{tenant}/pin", self._pin),
                web.delete("/models/{tenant}/pin", self._unpin),
                web.delete("/quarantine/{tenant}", self._release),
            ]
        )
        return app

    async def _ping(self, _: web.Request) -> web.Response:
        ready = await self._triton.is_ready()
        return web.json_response(
            {"status": "healthy" if ready else "Triton is not ready"}, status=200 if ready else 503
        )

    async def _render_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _status(self, _: web.Request) -> web.Response:
        with suppress(ServingError):  # it says so that Triton is away
            await self._recency.refresh()
        requests = self._metrics.hits + self._metrics.misses
        return web.json_response(
            {
                "budget_bytes": self._residency.budget,
                "held_bytes": self._residency.held_bytes,
                "hits": self._metrics.hits,
                "misses": self._metrics.misses,
                "hit_ratio": self._metrics.hits / requests if requests else None,
                "evictions": self._journal.evictions,
                "loads": self._journal.loads,
                "tenants": [_status_of(slot) for slot in self._residency],
                "triton_up": self._metrics.triton_up,
                "quarantined": [{"tenant": each.tenant, "version": each.version} for each in self._guard.quarantined()],
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        after = request.query.get("next_page_token", "")
        names = sorted(slot.tenant for slot in self._residency if slot.state is State.RESIDENT and slot.tenant > after)
        page: dict[str, Any] = {"models": [self._model(name) for name in names[:_PAGE]]}
        if len(names) > _PAGE:
            page["nextPageToken"] = names[_PAGE - 1]
        return web.json_response(page)

    async def _load(self, request: web.Request) -> web.Response:
        tenant = await _tenant_to_load(request)
        if self._serving.is_resident(tenant) and not await self._updates.follow(tenant):
            raise AlreadyLoadedError(f"tenant {tenant} is loaded already, at its live version")
        await self._serving.ensure(tenant)
        return web.json_response(self._model(tenant))

    async def _describe(self, request: web.Request) -> web.Response:
        return web.json_response(self._model(self._resident(request)))

    async def _unload(self, request: web.Request) -> web.Response:
        tenant = self._resident(request)
        await self._loader.unload(tenant)
        return web.json_response(self._model(tenant))

    async def _pin(self, request: web.Request) -> web.Response:
        """Load a tenant and never evict it, until it is unpinned or the sidecar starts again."""
        tenant = tenant_of(request)
        was_pinned = tenant in self._residency.pinned
        self._residency.pin(tenant)
        try:
            await self._serving.ensure(tenant)
        except ServingError:
            if not was_pinned:
                self._residency.unpin(tenant)
            raise
        return web.json_response(self._model(tenant))

    async def _unpin(self, request: web.Request) -> web.Response:
        tenant = tenant_of(request)
        self._residency.unpin(tenant)
        return web.json_response(self._model(tenant))

    async def _release(self, request: web.Request) -> web.Response:
        """Have a quarantined tenant tried again, and forget that one is suspected."""
        tenant = tenant_of(request)
        if not self._guard.release(tenant):
            raise UnknownTenantError(f"tenant {tenant} is not quarantined, nor suspected")
        return web.json_response(self._model(tenant))

    async def _invoke(self, request: web.Request) -> web.Response:
        tenant = self._resident(request)
        body = await body_of(request)
        invoked = await self._invocations.invoke(tenant, request.headers, body)
        return web.Response(body=invoked.body, headers={"Content-Type": invoked.content_type})

    def _resident(self, request: web.Request) -> TenantId:
        tenant = tenant_of(request)
        if not self._serving.is_resident(tenant):
            raise UnknownTenantError(f"tenant {tenant} is not loaded: POST /models loads it")
        return tenant

    def _model(self, tenant: str) -> dict[str, str]:
        return {"modelName": tenant, "modelUrl": f"{self._store.rstrip('/')}/{tenant}"}


async def _tenant_to_load(request: web.Request) -> TenantId:
    try:
        wanted = json.loads(await body_of(request))
        return tenant_id(wanted["model_name"])
    except BadTenantIdError as error:
        raise BadInputError(str(error)) from None
    except (ValueError, KeyError, TypeError):
        raise BadInputError('send {"model_name": "<tenant>", "url": "..."}; the url is not used') from None


def _status_of(slot: Slot) -> dict[str, Any]:
    return {
        "tenant": slot.tenant,
        "version": slot.version,
        "bytes": slot.held_bytes,
        "state": slot.state.value,
        "pinned": slot.pinned,
        "last_used": slot.last_used,
        "uses": slot.uses,
    }
