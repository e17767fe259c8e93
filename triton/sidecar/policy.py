"""Which resident goes first when room is needed."""

from collections.abc import Iterable
from typing import Protocol

from sidecar.slot import Slot


class EvictionPolicy(Protocol):
    """Ranks residents for eviction. It sees candidates only: pins and leased tenants are never among them."""

    def victims_first(self, candidates: Iterable[Slot]) -> list[Slot]:
        """Return the candidates, the one to evict first at the front."""
        ...


class LeastRecentlyUsed:
    """The one not used for longest goes first; between equals, the one loaded first."""

    def victims_first(self, candidates: Iterable[Slot]) -> list[Slot]:
        """Return the candidates by their last use, oldest first."""
        return sorted(candidates, key=lambda slot: (slot.last_used, slot.serial))
