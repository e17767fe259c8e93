"""One tenant's place in memory, and the states it passes through."""

from dataclasses import dataclass
from enum import Enum

from tools.catalog.tenant import TenantId


class State(Enum):
    """absent → fetching → loading → resident → unloading → absent; a tenant without a slot is absent."""

    FETCHING = "fetching"
    LOADING = "loading"
    RESIDENT = "resident"
    UNLOADING = "unloading"


@dataclass(frozen=True, slots=True)
class Slot:
    """What is known of a tenant that is in memory, or on its way in or out.

    `bytes` is what it is reckoned to hold; `claimed` is room reserved for a load that has not begun; `incoming` is
    what a newer version holds while it loads beside this one. `leases` counts cold calls that wait for their answer.
    `last_used` is in seconds since the epoch, `uses` counts requests; `foretold` of them were counted here before
    Triton's statistics told of them. `serial` rises with every cold start. Until `young_until` it is to be spared.
    """

    tenant: TenantId
    serial: int
    state: State = State.FETCHING
    version: int = 0
    bytes: int = 0
    claimed: int = 0
    incoming: int = 0
    pinned: bool = False
    leases: int = 0
    last_used: float = 0.0
    uses: int = 0
    foretold: int = 0
    young_until: float = 0.0

    @property
    def held_bytes(self) -> int:
        """Memory Triton may be using for it now."""
        return self.bytes + self.incoming

    @property
    def wanted_bytes(self) -> int:
        """Memory it will use once everything under way has ended."""
        return 0 if self.state is State.UNLOADING else self.bytes + self.incoming + self.claimed

    @property
    def is_evictable(self) -> bool:
        """Resident, and nobody waits for it, pins it or is replacing it."""
        return self.state is State.RESIDENT and not (self.pinned or self.leases or self.claimed or self.incoming)
