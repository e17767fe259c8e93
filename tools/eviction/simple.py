"""The two classics: by recency alone, and by frequency alone."""

import numpy as np
from numpy.typing import NDArray

from tools.eviction.policy import RankingPolicy


class LeastRecentlyUsed(RankingPolicy):
    """The one not used for longest goes first. Best where calls come in sessions."""

    def _worth(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        return self.history.seen[rows]


class LeastFrequentlyUsed(RankingPolicy):
    """The one with the fewest uses goes first, older uses counting less. Best where calls are independent.

    Uses are counted whether the tenant is resident or not; between equals the one used last stays.
    """

    def _worth(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        age = self.history.calls - self.history.seen_call[rows]
        return self.history.uses[rows] - age / (self.history.calls + 1) * 1e-6
