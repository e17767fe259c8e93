"""What is remembered of every tenant's use, resident or not.

Time is told by the caller. What ages is reckoned in calls instead: a quiet night makes nobody older.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.catalog.tenant import TenantId

# A use counts half after as many calls as this, for each known tenant: on the churn mix, after half a day.
HALF_LIFE = 10
_SHORTEST_PERIOD = 256
_NEVER = -1.0


class History:
    """Columns of one row a tenant; `rows` leads from tenant to row, and a row stays a tenant's until it is forgotten.

    `uses` is its number of calls, older ones counting less. `last_used` and `seen` are in seconds since the epoch:
    the last call, and the last call or load for a call. `last_call` and `seen_call` are the same on the clock of
    calls; -1 is never. `size` is in bytes, as when it was last resident.

    About `capacity` tenants are remembered, and every resident; those with the fewest uses are forgotten first.
    """

    def __init__(self, capacity: int = 50_000) -> None:
        self.calls = 0
        self.rows: dict[TenantId, int] = {}
        self.resident: NDArray[np.bool_] = np.zeros(0, bool)
        self.size = self.uses = self.last_used = self.seen = self.last_call = self.seen_call = np.zeros(0)
        self._names: list[TenantId] = []
        self._free: list[int] = []
        self._capacity = capacity
        self._next_fading = _SHORTEST_PERIOD

    @property
    def period(self) -> int:
        """Calls after which something ought to be reckoned anew: one for each known tenant."""
        return max(len(self.rows), _SHORTEST_PERIOD)

    def residents(self) -> NDArray[np.intp]:
        """The rows of the residents."""
        return np.flatnonzero(self.resident)

    def known(self) -> NDArray[np.intp]:
        """The rows of all tenants that were ever called."""
        return np.flatnonzero(self.last_call > _NEVER)

    def names(self, rows: NDArray[np.intp]) -> Iterator[TenantId]:
        """The tenants of `rows`."""
        return (self._names[row] for row in rows)

    def row(self, tenant: TenantId) -> int:
        """The tenant's row, a new one if it is not known."""
        row = self.rows.get(tenant)
        return self._add(tenant) if row is None else row

    def last_seen(self, tenant: TenantId) -> float:
        """When the tenant was last called, or loaded for a call; 0.0 when that is not known."""
        row = self.rows.get(tenant)
        return 0.0 if row is None else float(self.seen[row])

    def loaded(self, tenant: TenantId, size: int, at: float | None) -> None:
        """It is resident with `size` bytes; `at` when a call waits for it, None when none does. Not a use yet."""
        row = self.row(tenant)
        self.resident[row] = True
        self.size[row] = size
        if at is not None and at > self.seen[row]:
            self.seen[row] = at
            self.seen_call[row] = self.calls

    def used(self, tenant: TenantId, at: float, uses: int) -> None:
        """Count `uses` calls, the last of them at `at`. Older news never moves a tenant back.

        No uses at all mean that those counted already were as late as `at`.
        """
        row = self.row(tenant)
        self.last_used[row] = max(self.last_used[row], at)
        self.seen[row] = max(self.seen[row], at)
        if not uses:
            return
        self.calls += uses
        self.uses[row] += uses
        self.last_call[row] = self.seen_call[row] = self.calls
        if self.calls >= self._next_fading:
            self.uses *= 0.5 ** ((self.calls - self._next_fading + self.period) / self.period / HALF_LIFE)
            self._next_fading = self.calls + self.period

    def left(self, tenant: TenantId) -> None:
        """It is resident no more."""
        row = self.rows.get(tenant)
        if row is not None:
            self.resident[row] = False

    def to_json(self, most: int) -> dict[str, Any]:
        """What `restore` takes: of at most `most` tenants, the residents first, then those used most."""
        known = self.known()
        kept = known[np.lexsort((-self.uses[known], ~self.resident[known]))][:most]
        columns = (self.uses, self.last_used, self.last_call, self.size)
        values = zip(*(column[kept].tolist() for column in columns), strict=True)
        return {"calls": self.calls, "tenants": dict(zip(self.names(kept), map(list, values), strict=True))}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what an earlier run remembered. For an empty history.

        Raises:
            KeyError, TypeError, ValueError: `state` is not what `to_json` returns.
        """
        self.calls = int(state["calls"])
        self._next_fading = self.calls + _SHORTEST_PERIOD
        for tenant, (uses, last_used, last_call, size) in state["tenants"].items():
            row = self.row(TenantId(tenant))
            self.uses[row], self.size[row] = uses, size
            self.last_used[row] = self.seen[row] = last_used
            self.last_call[row] = self.seen_call[row] = min(last_call, self.calls)

    def _add(self, tenant: TenantId) -> int:
        if len(self.rows) >= self._capacity:
            self._forget()
        if not self._free:
            self._grow()
        row = self._free.pop()
        self.rows[tenant] = row
        self._names[row] = tenant
        return row

    def _grow(self) -> None:
        old = len(self._names)
        new = max(2 * old, 64)
        self.resident = np.append(self.resident, np.zeros(new - old, bool))
        for name, blank in _BLANKS.items():
            setattr(self, name, np.append(getattr(self, name), np.full(new - old, blank)))
        self._names += [TenantId("")] * (new - old)
        self._free = list(range(new - 1, old - 1, -1))

    def _forget(self) -> None:
        """Forget a tenth of what may be forgotten."""
        absent = np.array([row for row in self.rows.values() if not self.resident[row]], np.intp)
        forgotten = absent[np.argsort(self.uses[absent])][: len(absent) // 10 + 1]
        for tenant in list(self.names(forgotten)):
            del self.rows[tenant]
        for name, blank in _BLANKS.items():
            getattr(self, name)[forgotten] = blank
        self._free += forgotten.tolist()


_BLANKS = {"size": 0.0, "uses": 0.0, "last_used": 0.0, "seen": 0.0, "last_call": _NEVER, "seen_call": _NEVER}
