"""What is in memory, what goes next, and what fits. Pure: no I/O and no clock of its own.

Two sums are kept within the budget. *Held* bytes are what Triton may be using at this moment: everything loading,
resident or unloading. *Wanted* bytes are where the moves under way will end: claims and loads are in, unloads are
out. Victims are chosen against the wanted sum, all at once and before anything is unloaded; a load begins only when
the held sum has room for it, which is when Triton has reported the victims gone.

Bytes are reckoned, not measured: what is measured later corrects them. A ceiling below the budget is kept instead of
it for as long as the machine has less memory to give than the budget says.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sidecar.errors import BusyError, CannotFitError
from sidecar.slot import Slot, State
from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.policy import EvictionPolicy
from tools.eviction.simple import LeastRecentlyUsed
from tools.eviction.victims import MINIMUM_RESIDENCE, choose_victims


class WrongStateError(RuntimeError):
    """A move the state machine does not have: a fault in the caller, not in a request."""


class Residency:
    """The table of slots, and the only place where they change.

    `budget` is in bytes; `pinned` tenants are never chosen as victims, and others for `minimum_residence` seconds
    after their load only when nobody else would do. The policy hears of every load, use and departure, and ranks the
    residents; whether one may go is decided here. Times, called `now`, are in seconds on any one clock.
    """

    def __init__(
        self,
        budget: int,
        pinned: Iterable[TenantId] = (),
        policy: EvictionPolicy | None = None,
        minimum_residence: float = MINIMUM_RESIDENCE,
    ) -> None:
        self.budget = budget
        self.pinned = frozenset(pinned)
        self._policy = policy or LeastRecentlyUsed(History())
        self._minimum_residence = minimum_residence
        self._ceiling: int | None = None
        self._slots: dict[TenantId, Slot] = {}
        self._serial = 0

    @property
    def ceiling(self) -> int:
        """Bytes that are kept to now: the budget, or less while memory is short."""
        return self.budget if self._ceiling is None else min(self._ceiling, self.budget)

    @ceiling.setter
    def ceiling(self, ceiling: int) -> None:
        self._ceiling = ceiling if ceiling < self.budget else None

    # What is there

    def __iter__(self) -> Iterator[Slot]:
        return iter(tuple(self._slots.values()))

    def get(self, tenant: TenantId) -> Slot | None:
        """The tenant's slot, or None when it is absent."""
        return self._slots.get(tenant)

    @property
    def held_bytes(self) -> int:
        """Bytes Triton may be using now.

        Above the budget only while `overflow` has something to do: for models adopted from a running Triton, or found
        to be larger than they were reckoned to be.
        """
        return sum(slot.held_bytes for slot in self._slots.values())

    @property
    def wanted_bytes(self) -> int:
        """Bytes in use once everything under way has ended."""
        return sum(slot.wanted_bytes for slot in self._slots.values())

    def needs_victims(self, size: int) -> bool:
        """Whether a claim of `size` bytes would have to evict."""
        return self.wanted_bytes + size > self.ceiling

    def check_fits(self, tenant: TenantId, size: int) -> None:
        """Check that `size` bytes for the tenant could fit, beside its resident version if it has one.

        Raises:
            CannotFitError: no eviction could ever make that much room.
        """
        stays = self._bytes_that_stay(tenant)
        if size + stays > self.budget:
            raise CannotFitError(
                f"tenant {tenant} needs {size:,} bytes of memory; the budget is {self.budget:,} bytes, of which "
                f"{stays:,} cannot be evicted: raise the memory budget or unpin tenants"
            )

    def pin(self, tenant: TenantId) -> None:
        """From now on the tenant is never chosen as a victim."""
        self._set_pinned(self.pinned | {tenant}, tenant)

    def unpin(self, tenant: TenantId) -> None:
        """From now on the tenant is like any other."""
        self._set_pinned(self.pinned - {tenant}, tenant)

    # absent → fetching → loading → resident

    def begin(self, tenant: TenantId) -> None:
        """absent → fetching. From here the tenant's place is taken; it holds no bytes yet."""
        if tenant in self._slots:
            raise WrongStateError(f"{tenant} is {self._slots[tenant].state.value}, not absent")
        self._serial += 1
        self._slots[tenant] = Slot(
            tenant=tenant,
            serial=self._serial,
            pinned=tenant in self.pinned,
            last_used=self._policy.history.last_seen(tenant),
        )

    def claim(self, tenant: TenantId, size: int, now: float) -> tuple[TenantId, ...] | None:
        """Reserve `size` bytes for a fetching tenant, or for a newer version of a resident one.

        Returns the victims that make room, now unloading, for the caller to unload; empty when there is room.
        None means that there is none at the moment, because too much is loading, leased or claimed: nothing has
        changed, ask again when something has.

        Raises:
            CannotFitError: no eviction could ever make that much room.
            BusyError: none could below the present ceiling.
        """
        slot = self._in(tenant, State.FETCHING, State.RESIDENT)
        self.check_fits(tenant, size)
        if size + self._bytes_that_stay(tenant) > self.ceiling:
            raise BusyError(f"the node is short of memory, and {tenant} needs {size:,} bytes: try again shortly")
        excess = self.wanted_bytes + size - self.ceiling
        victims = self._choose_victims(tenant, excess, now)
        if sum(self._slots[victim].bytes for victim in victims) < excess:
            return None
        for victim in victims:
            self._leave(victim)
        self._slots[tenant] = replace(slot, claimed=size)
        return victims

    def has_room_for(self, tenant: TenantId) -> bool:
        """Whether the load of a claimed tenant may begin: its victims, or enough others, are gone."""
        slot = self._in(tenant, State.FETCHING, State.RESIDENT)
        return self.held_bytes + slot.claimed <= self.ceiling

    def start_loading(self, tenant: TenantId, version: int) -> None:
        """fetching → loading. The claim must have been made and have room."""
        slot = self._in(tenant, State.FETCHING)
        self._check_claim(slot)
        self._slots[tenant] = replace(slot, state=State.LOADING, version=version, bytes=slot.claimed, claimed=0)

    def start_updating(self, tenant: TenantId) -> None:
        """The newer version that was claimed begins to load beside the resident one."""
        slot = self._in(tenant, State.RESIDENT)
        self._check_claim(slot)
        self._slots[tenant] = replace(slot, incoming=slot.claimed, claimed=0)

    def loaded(self, tenant: TenantId, now: float) -> None:
        """loading → resident. Calls that wait for it are uses, now: a tenant may be evicted before Triton tells."""
        slot = self._in(tenant, State.LOADING)
        self._slots[tenant] = replace(slot, state=State.RESIDENT, young_until=now + self._minimum_residence)
        self._policy.loaded(tenant, slot.bytes, now if slot.leases else None)
        if slot.leases:
            self.touch(tenant, now, slot.leases)
            self._slots[tenant] = replace(self._slots[tenant], foretold=slot.leases)

    def updated(self, tenant: TenantId, version: int) -> None:
        """The newer version that was claimed answers now, and the older one is gone."""
        slot = self._in(tenant, State.RESIDENT)
        self._slots[tenant] = replace(slot, version=version, bytes=slot.incoming, incoming=0)
        self._policy.loaded(tenant, slot.incoming, None)

    def adopt(self, tenant: TenantId, version: int, size: int, last_used: float, uses: int) -> None:
        """absent → resident, for a model that Triton already holds. May exceed the budget: it is there."""
        self.begin(tenant)
        self._slots[tenant] = replace(
            self._slots[tenant],
            state=State.RESIDENT,
            version=version,
            bytes=size,
            last_used=last_used,
            uses=uses,
        )
        self._policy.loaded(tenant, size, last_used)

    # … → unloading → absent

    def give_up(self, tenant: TenantId) -> None:
        """fetching → absent; or a newer version is dropped and the resident one stays."""
        slot = self._in(tenant, State.FETCHING, State.RESIDENT)
        if slot.state is State.RESIDENT:
            self._slots[tenant] = replace(slot, claimed=0, incoming=0)
        else:
            del self._slots[tenant]

    def start_unloading(self, tenant: TenantId) -> None:
        """loading or resident → unloading: a failed load, or an unload asked for by hand."""
        self._in(tenant, State.LOADING, State.RESIDENT)
        self._leave(tenant)

    def gone(self, tenant: TenantId) -> None:
        """unloading → absent: Triton has reported it gone."""
        self._in(tenant, State.UNLOADING)
        del self._slots[tenant]

    def forget(self, tenant: TenantId) -> None:
        """resident → absent at once: Triton has lost it without being asked."""
        self._in(tenant, State.RESIDENT)
        del self._slots[tenant]
        self._policy.left(tenant)

    def correct(self, tenant: TenantId, serial: int, size: int) -> None:
        """The resident slot with this `serial` was found to hold `size` bytes. A slot that has gone is left alone."""
        slot = self._slots.get(tenant)
        if slot is not None and slot.serial == serial and slot.state is State.RESIDENT and slot.bytes != size:
            self._slots[tenant] = replace(slot, bytes=size)
            self._policy.loaded(tenant, size, None)

    def overflow(self, now: float) -> tuple[TenantId, ...]:
        """Victims, now unloading, that bring an over-full table back below the ceiling as far as can be."""
        victims = self._choose_victims(None, self.wanted_bytes - self.ceiling, now)
        for victim in victims:
            self._leave(victim)
        return victims

    # Use

    def touch(self, tenant: TenantId, at: float, uses: int = 1) -> None:
        """Record `uses` requests, the last of them at `at`. Older news never moves a tenant back.

        That of a tenant that has left since counts for the policy.
        """
        slot = self._slots.get(tenant)
        foretold = min(uses, slot.foretold) if slot else 0
        self._policy.used(tenant, at, uses - foretold)
        if slot is not None:
            self._slots[tenant] = replace(
                slot,
                last_used=max(slot.last_used, at),
                uses=slot.uses + uses - foretold,
                foretold=slot.foretold - foretold,
            )

    def lease(self, tenant: TenantId) -> None:
        """Keep the tenant from eviction until `release`: a call waits for its answer."""
        slot = self._slots[tenant]
        self._slots[tenant] = replace(slot, leases=slot.leases + 1)

    def release(self, tenant: TenantId, serial: int) -> None:
        """End one lease taken on the slot with this `serial`; a slot that has gone since is left alone."""
        slot = self._slots.get(tenant)
        if slot is not None and slot.serial == serial and slot.leases:
            self._slots[tenant] = replace(slot, leases=slot.leases - 1)

    # Inside

    def _set_pinned(self, pinned: frozenset[TenantId], tenant: TenantId) -> None:
        self.pinned = pinned
        if tenant in self._slots:
            self._slots[tenant] = replace(self._slots[tenant], pinned=tenant in pinned)

    def _in(self, tenant: TenantId, *states: State) -> Slot:
        slot = self._slots.get(tenant)
        if slot is None or slot.state not in states:
            found = "absent" if slot is None else slot.state.value
            raise WrongStateError(f"{tenant} is {found}, not {' or '.join(state.value for state in states)}")
        return slot

    def _leave(self, tenant: TenantId) -> None:
        self._slots[tenant] = replace(self._slots[tenant], state=State.UNLOADING)
        self._policy.left(tenant)

    def _check_claim(self, slot: Slot) -> None:
        if not slot.claimed or not self.has_room_for(slot.tenant):
            raise WrongStateError(f"{slot.tenant} has no room to load into")

    def _bytes_that_stay(self, tenant: TenantId) -> int:
        return sum(slot.held_bytes for slot in self._slots.values() if slot.pinned or slot.tenant == tenant)

    def _choose_victims(self, tenant: TenantId | None, excess: int, now: float) -> tuple[TenantId, ...]:
        if excess <= 0:
            return ()
        slots = self._slots
        ranked = (name for name in self._policy.victims_first() if slots[name].is_evictable and name != tenant)
        return choose_victims(
            ranked, excess, lambda name: slots[name].bytes, lambda name: now < slots[name].young_until
        )
