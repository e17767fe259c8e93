"""The policies by the names that settings and options know them by."""

from collections.abc import Callable, Mapping

from tools.eviction.history import History
from tools.eviction.policy import EvictionPolicy
from tools.eviction.return_rate import ReturnRate
from tools.eviction.sieve import Sieve
from tools.eviction.simple import LeastFrequentlyUsed, LeastRecentlyUsed

DEFAULT_POLICY = "return-rate"
POLICIES: Mapping[str, Callable[[History], EvictionPolicy]] = {
    "return-rate": ReturnRate,
    "lru": LeastRecentlyUsed,
    "lfu": LeastFrequentlyUsed,
    "sieve": Sieve,
}
