"""The policies by the names that settings and options know them by."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from tools.eviction.history import History
from tools.eviction.policy import EvictionPolicy
from tools.eviction.return_rate import ReturnRate
from tools.eviction.sieve import Sieve
from tools.eviction.simple import LeastFrequentlyUsed, LeastRecentlyUsed


class PolicyName(StrEnum):
    """Who is evicted first: whose return is least likely for what it holds, or a classic."""

    RETURN_RATE = "return-rate"
    LRU = "lru"
    LFU = "lfu"
    SIEVE = "sieve"


DEFAULT_POLICY = PolicyName.RETURN_RATE
POLICIES: Mapping[PolicyName, Callable[[History], EvictionPolicy]] = {
    PolicyName.RETURN_RATE: ReturnRate,
    PolicyName.LRU: LeastRecentlyUsed,
    PolicyName.LFU: LeastFrequentlyUsed,
    PolicyName.SIEVE: Sieve,
}
