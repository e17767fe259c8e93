"""What a call goes through, whatever it came in on: find the tenant, check the call, have it resident, ask Triton."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from sidecar.cold_queue import ColdQueue, Place
from sidecar.errors import TritonGoneError, TritonUnavailableError, UnknownTenantError
from sidecar.loader import Loader
from sidecar.observability.metrics import Metrics
from sidecar.observability.phases import Phase, Phases
from sidecar.observer import Before
from sidecar.presence import Presence
from sidecar.recency import Recency
from sidecar.residency import Residency
from sidecar.slot import State
from sidecar.supply import Offer, Origin, Supply
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import TenantId

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Call(Generic[Reply]):
    """One call for one tenant, as a transport hands it over.

    `send` asks Triton, and may be called twice; `is_missing` tells from the reply that Triton does not hold the
    tenant. `check` is given the tenant's manifest before anything is loaded, and raises `BadInputError` for a wrong
    call. `version` is the one asked for by name, if any.
    """

    tenant: TenantId
    send: Callable[[], Awaitable[Reply]]
    is_missing: Callable[[Reply], bool]
    check: Callable[[Manifest], None] = lambda _: None
    version: int | None = None


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
        queue: ColdQueue,
        presence: Presence,
    ) -> None:
        self._residency = residency
        self._supply = supply
        self._loader = loader
        self._recency = recency
        self._metrics = metrics
        self._phases = phases
        self._queue = queue
        self._presence = presence

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

    async def answer(self, call: Call[Reply]) -> tuple[Reply, Origin | None]:
        """Check the call, have its tenant resident, and send it to Triton.

        Returns the reply, and where the tenant came from if the call waited for a cold start. A tenant that Triton
        turns out to have lost is loaded once more, and a Triton that is away is waited for. A wrong call loads nothing.

        Raises:
            ServingError: as `Loader.resident`; `BadInputError` and `UnknownTenantError` for a wrong call;
                `OverloadedError` when the call would have to wait, and too many do already.
        """
        await self._wait_for_triton()
        try:
            reply, origin = await self._attempt(call)
            if not call.is_missing(reply):
                return reply, origin
        except TritonGoneError:
            pass  # it died under the call, which may be sent again: it changes nothing
        with suppress(TritonUnavailableError):
            await self._recency.check()
        await self._wait_for_triton()
        return await self._attempt(call)

    async def ensure(self, tenant: TenantId) -> None:
        """Have the tenant resident. Raises `ServingError` as `answer` does."""
        async with self._loader.resident(tenant):
            pass

    async def _wait_for_triton(self) -> None:
        if not self._presence.is_there:
            with self._queue.place():
                await self._presence.wait()

    async def _attempt(self, call: Call[Reply]) -> tuple[Reply, Origin | None]:
        if self.is_resident(call.tenant):
            return await self._send(call)
        with self._queue.place() as place, self._phases.call(call.tenant):
            return await self._send(call, place)

    async def _send(self, call: Call[Reply], place: Place | None = None) -> tuple[Reply, Origin | None]:
        began = time.monotonic()
        offer = await self._admit(call)
        async with self._loader.resident(call.tenant, offer) as origin:
            if place is not None:
                place.leave()
            if origin is None:
                return await call.send(), None
            self._metrics.waited(origin, time.monotonic() - began)
            with self._phases.timed(Phase.ANSWER, call.tenant):
                return await call.send(), origin

    async def _admit(self, call: Call[Reply]) -> Offer | None:
        slot = self._residency.get(call.tenant)
        if slot is not None and slot.state is State.RESIDENT and (manifest := self._supply.on_disk(call.tenant)):
            _check(call, manifest, slot.version)
            return None
        offer = await self._supply.offer(call.tenant)
        _check(call, offer.manifest, offer.manifest.version)
        return offer


def model_path(tenant: TenantId, version: int | None, rest: str = "") -> str:
    """The path of a model, or of one version of it, on Triton's HTTP port."""
    versioned = f"/versions/{version}" if version is not None else ""
    return f"/v2/models/{quote(tenant)}{versioned}{rest}"


def _check(call: Call[Reply], manifest: Manifest, live: int) -> None:
    if call.version is not None and call.version != live:
        raise UnknownTenantError(
            f"tenant {call.tenant} serves version {live}, not {call.version}: leave the version out, or name that one"
        )
    call.check(manifest)
