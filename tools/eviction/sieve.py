"""SIEVE: a queue, a bit and a hand."""

from collections.abc import Iterator
from itertools import chain

from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.simple import LeastRecentlyUsed


class Sieve(LeastRecentlyUsed):
    """The first one from the hand on, in the order of loading, that was not used since the hand last passed it.

    Source: Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi, "SIEVE is Simpler than LRU: an Efficient Turn-Key
    Eviction Algorithm for Web Caches", NSDI 2024. What is wanted first after a restart is what was used last.
    """

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._used_since: dict[TenantId, bool] = {}  # in the order of loading
        self._hand: TenantId | None = None

    def loaded(self, tenant: TenantId, size: int, at: float | None) -> None:
        """See `EvictionPolicy`. The call that it is loaded for is not a use, as in the paper."""
        super().loaded(tenant, size, at)
        self._used_since.setdefault(tenant, False)

    def used(self, tenant: TenantId, at: float, uses: int) -> None:
        """See `EvictionPolicy`."""
        row = self.history.row(tenant)
        is_first = self.history.seen_call[row] > self.history.last_call[row]
        super().used(tenant, at, uses)
        if tenant in self._used_since and uses > int(is_first):
            self._used_since[tenant] = True

    def left(self, tenant: TenantId) -> None:
        """See `EvictionPolicy`. The hand goes on from where it was to the one behind the victim."""
        super().left(tenant)
        if tenant not in self._used_since:
            return
        if tenant == next(self.victims_first()):
            passed = self._from_the_hand()
            place = passed.index(tenant)
            # A victim that was used means that the hand has been all the way round.
            cleared = passed if self._used_since[tenant] else passed[:place]
            self._used_since.update(dict.fromkeys(cleared, False))
            self._hand = passed[(place + 1) % len(passed)]
        elif tenant == self._hand:
            self._hand = self._from_the_hand()[1 % len(self._used_since)]
        del self._used_since[tenant]

    def victims_first(self) -> Iterator[TenantId]:
        """See `EvictionPolicy`."""
        order = self._from_the_hand()
        unused = (tenant for tenant in order if not self._used_since[tenant])
        return chain(unused, (tenant for tenant in order if self._used_since[tenant]))

    def _from_the_hand(self) -> list[TenantId]:
        order = list(self._used_since)
        start = order.index(self._hand) if self._hand in self._used_since else 0
        return order[start:] + order[:start]
