"""The adaptive policy: who is likely to be called soon, for what they hold."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.catalog.tenant import TenantId
from tools.eviction.history import HALF_LIFE, History
from tools.eviction.policy import RankingPolicy

_FREQUENCIES = 24  # classes of uses, two an octave
_AGES = 28  # classes of calls since the last use, one an octave
# The weight, in returns, of what is thought of a class before it is met. Small: it only has to order what is unknown.
_BELIEF = 0.1
# Loading takes a time that grows with size from a start of its own: this many bytes more, on disk or S3 alike.
LOAD_OVERHEAD = 4e6


class ReturnRate(RankingPolicy):
    """Keeps those whose return is most likely, weighed with what a return would cost and with the bytes they hold.

    How likely is learnt, not assumed. Tenants are classed by uses (aged) and by calls since the last use. Of each
    class two things are counted: the calls that came from it, and how many tenants were in it for how many calls. One
    over the other is its return rate: the chance that the next call is for a given tenant of it. Where calls come in
    sessions the rate falls steeply with age, and the policy acts as LRU; where they are independent it depends on uses
    alone, and the policy acts as LFU; between, it weighs the two as the traffic does. One thing is assumed, and makes
    it learn from few calls: more uses never make a return less likely. Absent tenants are counted like residents, so
    what is learnt does not depend on what was evicted. Older counts fade with the history's half-life.

    A class not met yet has the rate of Zipf's law in time, one over its age: a policy that knows nothing is LRU.

    Sources. The return (hazard) rate of an age class as the worth of a place in memory is LHD's: N. Beckmann, H. Chen,
    A. Cidon, "LHD: Improving Cache Hit Rate by Maximizing Hit Density", NSDI 2018. Worth as rate times cost over size
    is GreedyDual-Size-Frequency's: L. Cherkasova, HP Labs technical report HPL-98-69R1, 1998.
    """

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._returns = np.zeros((_FREQUENCIES, _AGES))
        self._presence = np.zeros((_FREQUENCIES, _AGES))
        self._last_census = history.calls
        self._rates = self._learnt_rates()

    def used(self, tenant: TenantId, at: float, uses: int) -> None:
        """See `EvictionPolicy`. Of several uses at once the gaps between them are taken as equal."""
        history = self.history
        row = history.row(tenant)
        last = history.last_call[row]
        if uses and last >= 0:
            gap = (history.calls + uses - last) / uses
            age = min(int(math.log2(gap)) + 1, _AGES - 1)
            self._returns[min(int(2 * math.log2(history.uses[row] + 1)), _FREQUENCIES - 1), age] += uses
        super().used(tenant, at, uses)
        if history.calls - self._last_census >= history.period:
            self._take_census()

    def to_json(self) -> dict[str, Any]:
        """See `EvictionPolicy`."""
        return {"returns": self._returns.round(3).tolist(), "presence": self._presence.round(3).tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """See `EvictionPolicy`."""
        shape = (_FREQUENCIES, _AGES)
        self._returns = np.array(state["returns"], float).reshape(shape)
        self._presence = np.array(state["presence"], float).reshape(shape)
        self._last_census = self.history.calls
        self._rates = self._learnt_rates()

    def _take_census(self) -> None:
        history = self.history
        known = history.known()
        passed = history.calls - self._last_census
        classes = _frequency(history.uses[known]) * _AGES + _age(history.calls - history.last_call[known] + 1)
        population = np.bincount(classes, minlength=_FREQUENCIES * _AGES).reshape(_FREQUENCIES, _AGES)
        self._presence += population * passed
        self._rates = self._learnt_rates()
        fading = 0.5 ** (passed / history.period / HALF_LIFE)
        self._returns *= fading
        self._presence *= fading
        self._last_census = history.calls

    def _learnt_rates(self) -> NDArray[np.float64]:
        returns = self._returns + _BELIEF
        presence = self._presence + _BELIEF * 2.0 ** np.arange(_AGES)
        ages = zip(returns.T.tolist(), presence.T.tolist(), strict=True)
        return np.array([_rising(*age) for age in ages]).T

    def _worth(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        history = self.history
        frequency = _frequency(history.uses[rows])
        # Between the middles of two age classes the rate goes over evenly from one to the other.
        place = np.log2(history.calls - history.seen_call[rows] + 1.0) + 0.5
        place = np.clip(place, 0, _AGES - 1.001)
        younger = place.astype(np.intp)
        share = place - younger
        rate = self._rates[frequency, younger] * (1 - share) + self._rates[frequency, younger + 1] * share
        return np.asarray(rate * (1 + LOAD_OVERHEAD / np.maximum(history.size[rows], 1)))


def _rising(returns: list[float], presence: list[float]) -> list[float]:
    """The ratios, evened out so that none is below the one before: isotonic regression by pool-adjacent-violators."""
    pools: list[tuple[float, float, int]] = []
    for pool in zip(returns, presence, [1] * len(returns), strict=True):
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    return [pooled / there for pooled, there, length in pools for _ in range(length)]


def _frequency(uses: NDArray[np.float64]) -> NDArray[np.intp]:
    classes: NDArray[np.intp] = np.minimum(2 * np.log2(uses + 1), _FREQUENCIES - 1).astype(np.intp)
    return classes


def _age(calls: NDArray[np.float64]) -> NDArray[np.intp]:
    classes: NDArray[np.intp] = np.minimum(np.log2(calls) + 1, _AGES - 1).astype(np.intp)
    return classes
