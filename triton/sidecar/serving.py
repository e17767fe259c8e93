"""What a call goes through, whatever it came in on: find the tenant, check the call, have it resident, ask Triton."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import quote

from sidecar.errors import UnknownTenantError
from sidecar.loader import Loader
from sidecar.observability.metrics import Metrics
from sidecar.observability.phases import Phase, Phases
from sidecar.observer import Before
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.slot import State
from sidecar.supply import Offer, Origin, Supply
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import TenantId

Reply = TypeVar("Reply")


class Serving:
    """The one way from a call to a resident tenant."""

    def __init__(
        self,
        residency: Residency,
        supply: Supply,
        loader: Loader,
        recency: Recency[Before],
        metrics: Metrics,
        phases: Phases,
    ) -> None:
        self._residency = residency
        self._supply = supply
        self._loader = loader
        self._recency = recency
        self._metrics = metrics
        self._phases = phases

    def is_resident(self, tenant: TenantId) -> bool:
        """Whether Triton answers for the tenant, as far as is known."""
        slot = self._residency.get(tenant)
        return slot is not None and slot.state is State.RESIDENT

    async def is_servable(self, tenant: TenantId) -> bool:
        """Whether a call for the tenant would find it, resident or not. Loads nothing."""
        if self.is_resident(tenant):
            return True
        try:
            await self._supply.offer(tenant)
        except UnknownTenantError:
            return False
        return True

    async def call(
        self,
        tenant: TenantId,
        version: int | None,
        check: Callable[[Manifest], None] | None,
        send: Callable[[], Awaitable[Reply]],
        is_missing: Callable[[Reply], bool],
    ) -> tuple[Reply, Origin | None]:
        """Have the tenant resident and `send` the call to Triton.

        Returns the reply, and where the tenant came from if the call waited for a cold start. A tenant that Triton
        turns out to have lost (`is_missing` of the reply) is loaded once more.

        The `version` asked for is checked first, and the call itself by `check`, which is given the tenant's manifest:
        a wrong call loads nothing.

        Raises:
            ServingError: as `Loader.resident`; `BadInputError` and `UnknownTenantError` for a wrong call.
        """
        reply, origin = await self._attempt(tenant, version, check, send)
        if not is_missing(reply):
            return reply, origin
        await self._recency.refresh()
        return await self._attempt(tenant, version, check, send)

    async def ensure(self, tenant: TenantId) -> None:
        """Have the tenant resident. Raises `ServingError` as `call` does."""
        async with self._loader.resident(tenant):
            pass

    async def _attempt(
        self,
        tenant: TenantId,
        version: int | None,
        check: Callable[[Manifest], None] | None,
        send: Callable[[], Awaitable[Reply]],
    ) -> tuple[Reply, Origin | None]:
        if self.is_resident(tenant):
            return await self._answer(tenant, version, check, send)
        with self._phases.call(tenant):
            return await self._answer(tenant, version, check, send)

    async def _answer(
        self,
        tenant: TenantId,
        version: int | None,
        check: Callable[[Manifest], None] | None,
        send: Callable[[], Awaitable[Reply]],
    ) -> tuple[Reply, Origin | None]:
        began = time.monotonic()
        offer = await self._admit(tenant, version, check)
        async with self._loader.resident(tenant, offer) as origin:
            if origin is None:
                return await send(), None
            self._metrics.waited(origin, time.monotonic() - began)
            with self._phases.timed(Phase.ANSWER, tenant):
                return await send(), origin

    async def _admit(
        self, tenant: TenantId, version: int | None, check: Callable[[Manifest], None] | None
    ) -> Offer | None:
        slot = self._residency.get(tenant)
        if slot is not None and slot.state is State.RESIDENT and (manifest := self._supply.on_disk(tenant)):
            _check_call(manifest, slot.version, version, check)
            return None
        offer = await self._supply.offer(tenant)
        _check_call(offer.manifest, offer.manifest.version, version, check)
        return offer


def model_path(tenant: TenantId, version: int | None, rest: str = "") -> str:
    """The path of a model, or of one version of it, on Triton's HTTP port."""
    versioned = f"/versions/{version}" if version is not None else ""
    return f"/v2/models/{quote(tenant)}{versioned}{rest}"


def _check_call(manifest: Manifest, live: int, wanted: int | None, check: Callable[[Manifest], None] | None) -> None:
    if wanted is not None and wanted != live:
        raise UnknownTenantError(
            f"tenant {manifest.tenant} serves version {live}, not {wanted}: leave the version out, or name that one"
        )
    if check is not None:
        check(manifest)
