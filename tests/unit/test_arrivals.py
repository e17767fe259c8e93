"""When the calls of a suite are due: rates, shares and sessions as they are said to be."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import islice, takewhile

import pytest

from loadtests.suites.arrivals import Arrival, Sessions, Stream, in_turn, poisson
from tools.catalog.tenant import TenantId

A, B, C = (TenantId(name) for name in "abc")


def until(seconds: float, arrivals: Iterator[Arrival]) -> list[Arrival]:
    return list(takewhile(lambda arrival: arrival.at <= seconds, arrivals))


def rows_of(_: TenantId) -> int:
    return 20


def sessions(rate: float = 100.0) -> Sessions:
    groups = {"large": [TenantId(f"l{n}") for n in range(500)], "small": [TenantId(f"s{n}") for n in range(2_000)]}
    return Sessions(groups, {"large": 80.0, "small": 20.0}, rate)


def test_streams_have_their_rates_and_change_them_with_time() -> None:
    streams = [Stream("steady", (A, B), lambda _: 50.0), Stream("late", (C,), lambda at: 0.0 if at < 50 else 20.0)]
    due = until(100.0, poisson(streams, rows_of, seed=1))
    count = Counter(arrival.group for arrival in due)
    assert count["steady"] == pytest.approx(5_000, rel=0.05)
    assert count["late"] == pytest.approx(1_000, rel=0.1)
    assert min(arrival.at for arrival in due if arrival.group == "late") >= 50.0
    assert Counter(arrival.call.tenant for arrival in due)[A] == pytest.approx(2_500, rel=0.1)


@pytest.mark.parametrize(
    "arrivals",
    [
        lambda seed: poisson([Stream("all", (A, B, C), lambda _: 30.0)], rows_of, seed),
        lambda seed: sessions().arrivals(rows_of, seed),
        lambda seed: in_turn({"all": (A, B, C)}, 30.0, seed),
    ],
)
def test_calls_come_in_order_ask_for_rows_there_are_and_are_the_same_again(
    arrivals: Callable[[int], Iterator[Arrival]],
) -> None:
    due = list(islice(arrivals(5), 2_000))
    assert [arrival.at for arrival in due] == sorted(arrival.at for arrival in due)
    assert all(a.call.first >= 0 and a.call.rows >= 1 and a.call.first + a.call.rows <= 20 for a in due)
    assert due == list(islice(arrivals(5), 2_000))


def test_sessions_keep_the_rate_the_shares_and_the_number_that_is_open() -> None:
    due = until(300.0, sessions().arrivals(rows_of, seed=1))
    assert len(due) / 300 == pytest.approx(100, rel=0.05)
    assert sum(arrival.group == "large" for arrival in due) / len(due) == pytest.approx(0.8, abs=0.03)
    late = [arrival for arrival in due if 100 < arrival.at < 300]
    # Of a session's calls the one before was about 40/100 s ago: the same tenant comes back soon.
    last: dict[str, float] = {}
    back_soon = 0
    for arrival in late:
        back_soon += arrival.at - last.get(arrival.call.tenant, float("-inf")) < 2.0
        last[arrival.call.tenant] = arrival.at
    assert back_soon / len(late) == pytest.approx(0.8, abs=0.06)


def test_in_turn_nobody_is_called_again_before_everybody_has_been() -> None:
    due = list(islice(in_turn({"x": (A, B), "y": (C,)}, rate=2.0, seed=3), 9))
    turns = [[arrival.call.tenant for arrival in due[start : start + 3]] for start in (0, 3, 6)]
    assert turns[0] == turns[1] == turns[2]
    assert sorted(turns[0]) == [A, B, C]
    assert [arrival.at for arrival in due] == [number / 2 for number in range(9)]
    groups = defaultdict(set)
    for arrival in due:
        groups[arrival.group].add(arrival.call.tenant)
    assert groups == {"x": {A, B}, "y": {C}}
