"""When each call of a suite is due, and for whom: endless, seeded streams, the same for the same arguments. Pure."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.traffic import MOST_ROWS, SEVERAL_ROWS_SHARE, Call
from tools.catalog.tenant import TenantId

_STEP = 0.05  # seconds for which a rate is taken as constant


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that is due `at` seconds after the beginning, by a tenant of `group`."""

    at: float
    group: str
    call: Call


@dataclass(frozen=True, slots=True)
class Stream:
    """Independent calls by `tenants`, each as likely as the next: `rate(t)` of them a second at second `t`."""

    group: str
    tenants: Sequence[TenantId]
    rate: Callable[[float], float]
    most_rows: int = MOST_ROWS


def poisson(streams: Sequence[Stream], rows_of: Callable[[TenantId], int], seed: int) -> Iterator[Arrival]:
    """The calls of all `streams`, in order. `rows_of` says how many rows there are to ask of a tenant."""
    draw = np.random.default_rng(seed)
    began = 0.0
    while True:
        due: list[Arrival] = []
        for stream in streams:
            for _ in range(int(draw.poisson(stream.rate(began) * _STEP))):
                tenant = stream.tenants[int(draw.integers(len(stream.tenants)))]
                call = _call(tenant, rows_of(tenant), stream.most_rows, draw)
                due.append(Arrival(began + float(draw.random()) * _STEP, stream.group, call))
        yield from sorted(due, key=lambda arrival: arrival.at)
        began += _STEP


@dataclass(frozen=True, slots=True)
class Sessions:
    """People at work: `rate` calls a second in all, in sessions of `calls` on average, `open_at_once` of them open.

    A session belongs to one tenant, of a group that makes `shares[group]` parts of the traffic.
    """

    groups: Mapping[str, Sequence[TenantId]]
    shares: Mapping[str, float]
    rate: float
    calls: float = 5.0
    open_at_once: float = 40.0

    def arrivals(self, rows_of: Callable[[TenantId], int], seed: int) -> Iterator[Arrival]:
        """The calls of all sessions, in order; the first seconds have fewer of them open."""
        draw = np.random.default_rng(seed)
        names = list(self.groups)
        weights = np.array([self.shares[name] for name in names])
        between_sessions = self.calls / self.rate
        between_calls = self.open_at_once / self.rate
        due: list[tuple[float, int, Arrival]] = []
        number = 0
        next_session = 0.0
        while True:
            while not due or next_session <= due[0][0]:
                name = names[int(draw.choice(len(names), p=weights / weights.sum()))]
                tenant = self.groups[name][int(draw.integers(len(self.groups[name])))]
                at = next_session
                for _ in range(int(draw.geometric(1 / self.calls))):
                    arrival = Arrival(at, name, _call(tenant, rows_of(tenant), MOST_ROWS, draw))
                    heapq.heappush(due, (at, number, arrival))
                    number += 1
                    at += float(draw.exponential(between_calls))
                next_session += float(draw.exponential(between_sessions))
            yield heapq.heappop(due)[2]


def in_turn(groups: Mapping[str, Sequence[TenantId]], rate: float, seed: int) -> Iterator[Arrival]:
    """Everybody once, in an order that stays the same, and again: `rate` calls a second, for one row each."""
    draw = np.random.default_rng(seed)
    everybody = [(name, tenant) for name, tenants in groups.items() for tenant in tenants]
    order = [everybody[int(place)] for place in draw.permutation(len(everybody))]
    number = 0
    while True:
        name, tenant = order[number % len(order)]
        yield Arrival(number / rate, name, Call(tenant, 0, 1))
        number += 1


def _call(tenant: TenantId, rows: int, most_rows: int, draw: np.random.Generator) -> Call:
    several = draw.random() < SEVERAL_ROWS_SHARE
    count = min(int(draw.integers(2, most_rows + 1)) if several else 1, rows)
    return Call(tenant, int(draw.integers(rows - count + 1)), count)
