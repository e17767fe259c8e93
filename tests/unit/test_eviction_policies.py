"""Eviction policies against the textbook, against each other, and against what a node asks of them."""

import json
import time
from collections import Counter, OrderedDict
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.named import POLICIES, PolicyName
from tools.eviction.policy import EvictionPolicy
from tools.eviction.return_rate import ReturnRate
from tools.eviction.sieve import Sieve
from tools.eviction.simple import LeastFrequentlyUsed, LeastRecentlyUsed
from tools.plan.clairvoyant import Clairvoyant
from tools.plan.replay import replay
from tools.plan.trace import TenantClass, Trace, independent, joined, sessions

# The churn mix at a tenth of its size, so that the rates of its classes are as different as there.
SMALL = (TenantClass(50, 0.60), TenantClass(150, 0.25), TenantClass(200, 0.15))

# The textbook spares nobody.
freely = partial(replay, minimum_residence=0.0)

short_calls = st.lists(st.integers(0, 7), min_size=1, max_size=200)


def trace_of(calls: list[int], sizes: list[int] | None = None) -> Trace:
    names = tuple(TenantId(f"t{number}") for number in range(8))
    return Trace(names, np.array(sizes or [1] * 8), np.array(calls), np.arange(1.0, len(calls) + 1))


def textbook_lru(calls: list[int], places: int) -> list[bool]:
    cache = OrderedDict[int, None]()
    hits = []
    for tenant in calls:
        hits.append(tenant in cache)
        cache[tenant] = None
        cache.move_to_end(tenant)
        if len(cache) > places:
            cache.popitem(last=False)
    return hits


def textbook_lfu(calls: list[int], places: int) -> list[bool]:
    counts, last, cache, hits = Counter[int](), dict[int, int](), set[int](), []
    for now, tenant in enumerate(calls):
        hits.append(tenant in cache)
        if tenant not in cache and len(cache) == places:
            cache.remove(min(cache, key=lambda each: (counts[each], last[each])))
        cache.add(tenant)
        counts[tenant] += 1
        last[tenant] = now
    return hits


def textbook_sieve(calls: list[int], places: int) -> list[bool]:
    queue, visited, hits, hand = list[int](), dict[int, bool](), [], 0
    for tenant in calls:
        hits.append(tenant in queue)
        if tenant in queue:
            visited[tenant] = True
            continue
        if len(queue) == places:
            while visited[queue[hand]]:
                visited[queue[hand]] = False
                hand = (hand + 1) % len(queue)
            del queue[hand]
            hand %= max(len(queue), 1)
        queue.append(tenant)
        visited[tenant] = False
    return hits


@given(calls=short_calls, places=st.integers(1, 5))
def test_lru_is_the_textbook_s(calls: list[int], places: int) -> None:
    result = freely(trace_of(calls), places, LeastRecentlyUsed(History()))
    assert result.hits.tolist() == textbook_lru(calls, places)


@given(calls=short_calls, places=st.integers(1, 5))
def test_lfu_is_the_textbook_s_while_nothing_has_aged(calls: list[int], places: int) -> None:
    result = freely(trace_of(calls), places, LeastFrequentlyUsed(History()))
    assert result.hits.tolist() == textbook_lfu(calls, places)


@given(calls=short_calls, places=st.integers(1, 5))
def test_sieve_is_the_paper_s(calls: list[int], places: int) -> None:
    result = freely(trace_of(calls), places, Sieve(History()))
    assert result.hits.tolist() == textbook_sieve(calls, places)


@given(calls=short_calls, places=st.integers(1, 5), name=st.sampled_from(sorted(POLICIES)))
def test_nothing_beats_the_clairvoyant_on_equal_sizes(calls: list[int], places: int, name: PolicyName) -> None:
    trace = trace_of(calls)
    best = freely(trace, places, Clairvoyant(trace)).hits.sum()
    assert freely(trace, places, POLICIES[name](History())).hits.sum() <= best


@given(calls=short_calls, sizes=st.lists(st.integers(1, 9), min_size=8, max_size=8), budget=st.integers(1, 30))
@pytest.mark.parametrize("name", POLICIES)
def test_a_replay_never_holds_more_than_its_budget(
    name: PolicyName, calls: list[int], sizes: list[int], budget: int
) -> None:
    policy = POLICIES[name](History())
    trace = trace_of(calls, sizes)
    replay(trace, budget, policy, on_progress=lambda _: None)
    assert sum(sizes[trace.tenants.index(tenant)] for tenant in policy.victims_first()) <= budget


@given(calls=short_calls)
def test_the_pinned_are_resident_from_the_start_and_stay(calls: list[int]) -> None:
    result = replay(trace_of(calls), 3, ReturnRate(History()), pinned=[2, 5])
    assert all(hit for hit, tenant in zip(result.hits, calls, strict=True) if tenant in (2, 5))


@pytest.mark.parametrize("places", [10, 50, 100])
@pytest.mark.parametrize("kind", ["independent", "sessions", "one, then the other", "the other, then one"])
def test_the_default_is_as_good_as_the_better_of_lru_and_lfu(kind: str, places: int) -> None:
    apart, together = independent(SMALL, 15_000, 1), sessions(SMALL, 15_000, 2, at_once=4)
    trace = {
        "independent": apart,
        "sessions": together,
        "one, then the other": joined(apart, together),
        "the other, then one": joined(together, apart),
    }[kind]
    ratios = {
        policy: replay(trace, places, policy(History()), warm_up=5_000).hit_ratio
        for policy in (LeastRecentlyUsed, LeastFrequentlyUsed, ReturnRate)
    }
    assert ratios[ReturnRate] > max(ratios[LeastRecentlyUsed], ratios[LeastFrequentlyUsed]) - 0.03


def test_the_default_follows_when_other_tenants_become_the_busy_ones() -> None:
    before, after = independent(SMALL, 15_000, 1), independent(SMALL, 15_000, 2)
    shuffled = np.random.default_rng(3).permutation(len(after.tenants))
    trace = joined(before, Trace(after.tenants, after.sizes, shuffled[after.calls], after.times))
    first, second = (
        replay(trace, 50, ReturnRate(History())).hits[start : start + 5_000].mean() for start in (10_000, 25_000)
    )
    assert second > first - 0.03


def test_the_default_prefers_many_small_models_to_a_large_one_that_is_called_as_often() -> None:
    trace = independent([TenantClass(50, 1 / 8, 45_000_000), TenantClass(350, 7 / 8, 1_000_000)], 15_000, 1)
    budget = 450_000_000
    default = replay(trace, budget, ReturnRate(History()), warm_up=5_000)
    lru = replay(trace, budget, LeastRecentlyUsed(History()), warm_up=5_000)
    assert default.hit_ratio > lru.hit_ratio + 0.3
    assert default.byte_hit_ratio > lru.byte_hit_ratio - 0.03


def test_uses_told_in_batches_are_as_good_as_told_one_by_one() -> None:
    one_by_one, batched = ReturnRate(History()), ReturnRate(History())
    trace = sessions(SMALL, 10_000, 4, at_once=4)
    for start in range(0, 10_000, 10):
        batch = trace.calls[start : start + 10].tolist()
        for tenant in batch:
            one_by_one.used(trace.tenants[tenant], float(start), 1)
        for tenant, uses in Counter(batch).items():
            batched.used(trace.tenants[tenant], float(start), uses)
    best = set(list(one_by_one.wanted_first())[:50])
    assert len(best & set(list(batched.wanted_first())[:50])) >= 40


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_takes_up_what_it_knew_before_a_restart(name: PolicyName) -> None:
    policy = POLICIES[name](History())
    replay(sessions(SMALL, 5_000, 5), 40, policy)
    history, learnt = json.loads(json.dumps([policy.history.to_json(1_000), policy.to_json()]))
    again = POLICIES[name](History())
    again.history.restore(history)
    again.restore(learnt)
    assert list(again.wanted_first())[:40] == _settled(policy)[:40]


def _settled(policy: EvictionPolicy) -> list[TenantId]:
    """As it would be wanted with nothing resident: rates are drawn up anew when taken up."""
    policy.restore(policy.to_json())
    return list(policy.wanted_first())


def test_a_load_that_no_call_waits_for_is_no_use() -> None:
    policy = LeastRecentlyUsed(History())
    for now, name in enumerate("ab", start=1):
        policy.loaded(TenantId(name), 1, float(now))
        policy.used(TenantId(name), float(now), 1)
    policy.left(TenantId("a"))
    policy.loaded(TenantId("a"), 1, None)
    assert list(policy.victims_first()) == ["a", "b"]


def test_a_history_forgets_the_least_used_and_never_a_resident() -> None:
    history = History(capacity=100)
    history.loaded(TenantId("resident"), 1, 1.0)
    for number in range(1_000):
        history.used(TenantId("busy"), float(number), 1)
        history.used(TenantId(f"t{number}"), float(number), 1)
    assert len(history.rows) <= 100
    assert {"resident", "busy"} <= set(history.rows)
    assert len(history.known()) == len(history.rows) - 1


def test_a_thousand_residents_are_ranked_in_about_a_millisecond() -> None:
    policy = ReturnRate(History())
    for number in range(1_000):
        policy.loaded(TenantId(f"t{number}"), 1_000_000, float(number))
        policy.used(TenantId(f"t{number}"), float(number), 1)

    def seconds() -> float:
        began = time.perf_counter()
        next(policy.victims_first())
        return time.perf_counter() - began

    assert min(seconds() for _ in range(50)) < 0.001


def test_of_too_many_tenants_the_residents_are_written_down_first() -> None:
    history = History()
    for number in range(10):
        history.used(TenantId(f"busy{number}"), 1.0, 9)
    history.used(TenantId("resident"), 2.0, 1)
    history.loaded(TenantId("resident"), 7, 2.0)
    assert "resident" in history.to_json(3)["tenants"]
