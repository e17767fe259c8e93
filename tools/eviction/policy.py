"""What an eviction policy is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tools.catalog.tenant import TenantId
from tools.eviction.history import History


class EvictionPolicy(Protocol):
    """Hears of loads, uses and departures, and says who should go and who should be there.

    `history` is what it knows of each tenant, and is kept up to date by it.
    """

    history: History

    def loaded(self, tenant: TenantId, size: int, at: float | None) -> None:
        """The tenant is resident with `size` bytes, since `at` (epoch seconds); None when no call waits for it.

        The calls that waited are uses, and are told as such.
        """
        ...

    def used(self, tenant: TenantId, at: float, uses: int) -> None:
        """The tenant, resident or not, was called `uses` times since the last news of it, the last time at `at`.

        0 uses mean that those told of already were as late as `at`.
        """
        ...

    def left(self, tenant: TenantId) -> None:
        """The tenant is not resident any more, for whatever reason."""
        ...

    def victims_first(self) -> Iterator[TenantId]:
        """The residents, the one to evict first at the front. Changes nothing: who goes is told by `left`."""
        ...

    def wanted_first(self) -> Iterator[TenantId]:
        """All tenants known, resident or not, the one most worth its memory at the front."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What it has learnt beside the history; {} when that is nothing."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `to_json` returned. Raises KeyError, TypeError or ValueError for anything else."""
        ...


class RankingPolicy(ABC):
    """A policy that gives every tenant a worth: the lowest goes first."""

    def __init__(self, history: History) -> None:
        self.history = history

    def loaded(self, tenant: TenantId, size: int, at: float | None) -> None:
        """See `EvictionPolicy`."""
        self.history.loaded(tenant, size, at)

    def used(self, tenant: TenantId, at: float, uses: int) -> None:
        """See `EvictionPolicy`."""
        self.history.used(tenant, at, uses)

    def left(self, tenant: TenantId) -> None:
        """See `EvictionPolicy`."""
        self.history.left(tenant)

    def victims_first(self) -> Iterator[TenantId]:
        """See `EvictionPolicy`."""
        rows = self.history.residents()
        return self.history.names(rows[np.argsort(self._worth(rows), kind="stable")])

    def wanted_first(self) -> Iterator[TenantId]:
        """See `EvictionPolicy`."""
        rows = self.history.known()
        return self.history.names(rows[np.argsort(-self._worth(rows), kind="stable")])

    def to_json(self) -> dict[str, Any]:
        """See `EvictionPolicy`."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """See `EvictionPolicy`. Nothing is kept, so nothing is taken."""
        del state

    @abstractmethod
    def _worth(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The worth of keeping the tenants of `rows`, on any scale."""
