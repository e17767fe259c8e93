"""The policy that knows the future: what no other can beat."""

import numpy as np
from numpy.typing import NDArray

from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.policy import RankingPolicy
from tools.plan.trace import Trace


class Clairvoyant(RankingPolicy):
    """The one whose next call is furthest away goes first. For one replay of `trace` from its first call.

    With models of one size this is the optimum: L. A. Belady, "A study of replacement algorithms for a
    virtual-storage computer", IBM Systems Journal 5(2), 1966. With different sizes the optimum is NP-hard; then the
    largest product of bytes and calls until the next use goes first, which is a good answer and not a bound.
    """

    def __init__(self, trace: Trace) -> None:
        super().__init__(History(len(trace.tenants)))
        self._next = _next_uses(trace)
        self._made = 0
        self._next_of_row = np.zeros(0)

    def loaded(self, tenant: TenantId, size: int, at: float | None) -> None:
        """See `EvictionPolicy`."""
        super().loaded(tenant, size, at)
        self._expect(tenant, self._made)

    def used(self, tenant: TenantId, at: float, uses: int) -> None:
        """See `EvictionPolicy`."""
        super().used(tenant, at, uses)
        self._expect(tenant, self._made)
        self._made += uses

    def _expect(self, tenant: TenantId, call: int) -> None:
        row = self.history.row(tenant)
        if row >= len(self._next_of_row):
            self._next_of_row = np.resize(self._next_of_row, len(self.history.size))
        self._next_of_row[row] = self._next[call]

    def _worth(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        away = self._next_of_row[rows] - self._made
        return -away * self.history.size[rows]


def _next_uses(trace: Trace) -> NDArray[np.float64]:
    """(calls,) the number of the next call by the same tenant; beyond the end when there is none."""
    following = np.full(len(trace.calls), 2.0 * len(trace.calls))
    order = np.argsort(trace.calls, kind="stable")
    same = trace.calls[order[1:]] == trace.calls[order[:-1]]
    following[order[:-1][same]] = order[1:][same]
    return following
