"""Residency: budget, pins, states and order, by property and by example."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sidecar.errors import BusyError, CannotFitError
from sidecar.residency import Residency, WrongStateError
from sidecar.slot import Slot, State

from tools.catalog.tenant import TenantId
from tools.eviction.history import History
from tools.eviction.simple import LeastFrequentlyUsed

BUDGET = 100
MINIMUM_RESIDENCE = 3.0
PINNED = frozenset({TenantId("p0"), TenantId("p1")})
TENANTS = [TenantId(name) for name in ("p0", "p1", "a", "b", "c", "d", "e", "f")]

any_tenant = st.sampled_from(TENANTS)


class ResidencyMachine(RuleBasedStateMachine):
    """Drives a table through every move a node makes, in any order, and watches what must never happen."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Residency(BUDGET, PINNED, minimum_residence=MINIMUM_RESIDENCE)
        self.now = 0.0
        self.loaded_at: dict[TenantId, float] = {}
        self.over = 0  # bytes that models were found to hold beyond what they were reckoned at

    def in_state(self, tenant: TenantId, *states: State) -> bool:
        slot = self.table.get(tenant)
        return slot is not None and slot.state in states

    def any_in(self, *states: State) -> list[TenantId]:
        return [slot.tenant for slot in self.table if slot.state in states]

    @rule(tenant=any_tenant)
    def begin(self, tenant: TenantId) -> None:
        if self.table.get(tenant) is None:
            self.table.begin(tenant)
        else:
            with pytest.raises(WrongStateError):
                self.table.begin(tenant)

    @rule(tenant=any_tenant, size=st.integers(1, 120))
    def claim(self, tenant: TenantId, size: int) -> None:
        slot = self.table.get(tenant)
        if slot is None or slot.state not in (State.FETCHING, State.RESIDENT) or slot.claimed or slot.incoming:
            return
        before = {slot.tenant: slot for slot in self.table}
        needed = size + sum(s.held_bytes for s in before.values() if s.pinned or s.tenant == tenant)
        victims = None
        if needed > BUDGET:
            with pytest.raises(CannotFitError):
                self.table.claim(tenant, size, self.now)
        elif needed > self.table.ceiling:
            with pytest.raises(BusyError):
                self.table.claim(tenant, size, self.now)
        else:
            victims = self.table.claim(tenant, size, self.now)
        if victims is None:
            assert {slot.tenant: slot for slot in self.table} == before
            return
        self.check_victims(tenant, victims, before)

    def check_victims(
        self, tenant: TenantId | None, victims: tuple[TenantId, ...], before: dict[TenantId, Slot]
    ) -> None:
        spared = [s for s in before.values() if s.is_evictable and s.tenant not in (*victims, tenant)]
        for victim in victims:
            assert before[victim].is_evictable
            assert not before[victim].pinned
            peers = [s for s in spared if self.is_young(s.tenant) == self.is_young(victim)]
            assert before[victim].last_used <= min((s.last_used for s in peers), default=float("inf"))
            if self.is_young(victim):
                assert all(self.is_young(s.tenant) for s in spared), "an old one would have done"

    def is_young(self, tenant: TenantId) -> bool:
        return self.now < self.loaded_at[tenant] + MINIMUM_RESIDENCE

    @rule(tenant=any_tenant)
    def start(self, tenant: TenantId) -> None:
        slot = self.table.get(tenant)
        if slot is None or slot.state is not State.FETCHING:
            return
        if slot.claimed and self.table.has_room_for(tenant):
            self.table.start_loading(tenant, 1)
        else:
            with pytest.raises(WrongStateError):
                self.table.start_loading(tenant, 1)

    @rule(tenant=any_tenant, works=st.booleans())
    def finish(self, tenant: TenantId, works: bool) -> None:
        if self.in_state(tenant, State.LOADING):
            self.now += 1
            if works:
                self.table.loaded(tenant, self.now)
                self.loaded_at[tenant] = self.now
            else:
                self.table.start_unloading(tenant)

    @rule(tenant=any_tenant, works=st.booleans())
    def update(self, tenant: TenantId, works: bool) -> None:
        slot = self.table.get(tenant)
        if slot is None or slot.state is not State.RESIDENT:
            return
        if slot.claimed and self.table.has_room_for(tenant):
            self.table.start_updating(tenant)
        elif slot.incoming and works:
            self.table.updated(tenant, 2)
        elif slot.incoming:
            self.table.give_up(tenant)

    @rule(tenant=any_tenant)
    def give_up(self, tenant: TenantId) -> None:
        if self.in_state(tenant, State.FETCHING):
            self.table.give_up(tenant)
            assert self.table.get(tenant) is None

    @precondition(lambda self: self.any_in(State.UNLOADING))
    @rule(data=st.data())
    def gone(self, data: st.DataObject) -> None:
        self.table.gone(data.draw(st.sampled_from(self.any_in(State.UNLOADING))))

    @rule(tenant=any_tenant, age=st.integers(0, 5))
    def touch(self, tenant: TenantId, age: int) -> None:
        self.now += 1
        self.table.touch(tenant, self.now - age)

    @rule(tenant=any_tenant)
    def lease(self, tenant: TenantId) -> None:
        if self.table.get(tenant) is not None:
            self.table.lease(tenant)

    @rule(tenant=any_tenant)
    def release(self, tenant: TenantId) -> None:
        slot = self.table.get(tenant)
        if slot is not None:
            self.table.release(tenant, slot.serial)

    @rule(tenant=any_tenant, size=st.integers(1, 120), is_late=st.booleans())
    def correct(self, tenant: TenantId, size: int, is_late: bool) -> None:
        slot = self.table.get(tenant)
        if slot is None:
            return
        self.table.correct(tenant, slot.serial - is_late, size)
        if slot.state is State.RESIDENT and not is_late:
            self.over += max(size - slot.bytes, 0)
            assert self.table.get(tenant) == replace(slot, bytes=size)
        else:
            assert self.table.get(tenant) == slot

    @rule(ceiling=st.integers(0, BUDGET))
    def move_the_ceiling(self, ceiling: int) -> None:
        self.table.ceiling = ceiling

    @rule()
    def overflow(self) -> None:
        before = {slot.tenant: slot for slot in self.table}
        victims = self.table.overflow(self.now)
        self.check_victims(None, victims, before)
        if self.table.wanted_bytes > self.table.ceiling:
            assert not any(slot.is_evictable for slot in self.table)

    @invariant()
    def held_bytes_never_exceed_the_budget_but_by_what_was_not_known(self) -> None:
        assert self.table.held_bytes <= BUDGET + self.over

    @invariant()
    def wanted_bytes_never_exceed_the_budget_but_by_what_was_not_known(self) -> None:
        assert self.table.wanted_bytes <= BUDGET + self.over

    @invariant()
    def sums_are_those_of_the_slots(self) -> None:
        assert self.table.held_bytes == sum(slot.bytes + slot.incoming for slot in self.table)


ResidencyMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestResidency = ResidencyMachine.TestCase


LATER = 1000.0


def fill(table: Residency, **sizes: int) -> None:
    for now, (name, size) in enumerate(sizes.items()):
        tenant = TenantId(name)
        table.begin(tenant)
        assert table.claim(tenant, size, LATER) == ()
        table.start_loading(tenant, 1)
        table.loaded(tenant, float(now))


def test_the_least_recently_used_go_first_and_no_more_than_needed() -> None:
    table = Residency(BUDGET)
    fill(table, a=40, b=30, c=30)
    table.touch(TenantId("a"), 10.0)
    table.begin(TenantId("d"))
    assert table.claim(TenantId("d"), 50, LATER) == ("b", "c")


def test_victims_bytes_count_until_they_are_gone() -> None:
    table = Residency(BUDGET)
    fill(table, a=100)
    table.begin(TenantId("b"))
    assert table.claim(TenantId("b"), 60, LATER) == ("a",)
    assert table.held_bytes == 100
    assert not table.has_room_for(TenantId("b"))
    table.gone(TenantId("a"))
    assert table.has_room_for(TenantId("b"))


def test_two_claims_never_count_on_the_same_room() -> None:
    table = Residency(BUDGET)
    fill(table, a=50, b=50)
    for name in ("c", "d"):
        table.begin(TenantId(name))
    assert table.claim(TenantId("c"), 50, LATER) == ("a",)
    assert table.claim(TenantId("d"), 50, LATER) == ("b",)


def test_what_can_never_fit_is_refused_at_once_and_evicts_nobody() -> None:
    table = Residency(BUDGET, PINNED)
    fill(table, p0=30, a=50)
    table.begin(TenantId("b"))
    with pytest.raises(CannotFitError, match="80 bytes of memory; the budget is 100 bytes, of which 30"):
        table.claim(TenantId("b"), 80, LATER)
    assert table.get(TenantId("a")).state is State.RESIDENT  # type: ignore[union-attr]


def test_a_leased_tenant_is_spared_and_the_claim_waits() -> None:
    table = Residency(BUDGET)
    fill(table, a=100)
    table.lease(TenantId("a"))
    table.begin(TenantId("b"))
    assert table.claim(TenantId("b"), 10, LATER) is None
    table.release(TenantId("a"), table.get(TenantId("a")).serial)  # type: ignore[union-attr]
    assert table.claim(TenantId("b"), 10, LATER) == ("a",)


def test_an_update_counts_both_versions_until_the_old_one_is_gone() -> None:
    table = Residency(BUDGET)
    fill(table, a=40, b=40)
    assert table.claim(TenantId("a"), 50, LATER) == ("b",)
    table.gone(TenantId("b"))
    table.start_updating(TenantId("a"))
    assert table.held_bytes == 90
    table.updated(TenantId("a"), 2)
    assert table.held_bytes == 50


def test_a_release_that_comes_late_does_not_end_the_lease_of_a_later_start() -> None:
    table = Residency(BUDGET)
    fill(table, a=10)
    old = table.get(TenantId("a")).serial  # type: ignore[union-attr]
    table.forget(TenantId("a"))
    fill(table, a=10)
    table.lease(TenantId("a"))
    table.release(TenantId("a"), old)
    assert table.get(TenantId("a")).leases == 1  # type: ignore[union-attr]


def test_a_table_adopted_too_full_is_brought_back_within_the_budget() -> None:
    table = Residency(BUDGET)
    for now, name in enumerate("abc"):
        table.adopt(TenantId(name), 1, 50, float(now), 0)
    assert table.overflow(LATER) == ("a",)


def test_calls_that_wait_for_a_load_are_counted_once_though_triton_tells_of_them_too() -> None:
    policy = LeastFrequentlyUsed(History())
    table = Residency(BUDGET, policy=policy)
    table.begin(TenantId("a"))
    assert table.claim(TenantId("a"), 10, LATER) == ()
    for _ in range(3):
        table.lease(TenantId("a"))
    table.start_loading(TenantId("a"), 1)
    table.loaded(TenantId("a"), 1.0)
    assert policy.history.calls == 3
    table.touch(TenantId("a"), 1.5, 2)
    table.touch(TenantId("a"), 2.0, 5)
    assert policy.history.calls == 7
    assert table.get(TenantId("a")).uses == 7  # type: ignore[union-attr]
    assert table.get(TenantId("a")).last_used == 2.0  # type: ignore[union-attr]


@given(at=st.floats(0, 1e9), older=st.floats(0, 1e9))
def test_older_news_never_moves_a_tenant_back(at: float, older: float) -> None:
    table = Residency(BUDGET)
    fill(table, a=1)
    table.touch(TenantId("a"), at)
    table.touch(TenantId("a"), older)
    assert table.get(TenantId("a")).last_used == max(at, older)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "move",
    [
        lambda table: table.loaded(TenantId("a"), 0.0),
        lambda table: table.gone(TenantId("a")),
        lambda table: table.claim(TenantId("a"), 1, LATER),
        lambda table: table.start_unloading(TenantId("a")),
        lambda table: table.forget(TenantId("a")),
    ],
)
def test_a_move_the_state_machine_does_not_have_is_refused(move: Callable[[Residency], object]) -> None:
    with pytest.raises(WrongStateError, match="a is absent"):
        move(Residency(BUDGET))


def test_a_model_just_loaded_is_spared_for_one_used_later() -> None:
    table = Residency(BUDGET, minimum_residence=10.0)
    fill(table, a=50, b=50)  # at 0 and at 1
    table.touch(TenantId("a"), 5.0)
    table.begin(TenantId("c"))
    assert table.claim(TenantId("c"), 50, now=10.5) == ("a",)


def test_after_its_minimum_residence_it_goes_in_its_turn() -> None:
    table = Residency(BUDGET, minimum_residence=10.0)
    fill(table, a=50, b=50)
    table.touch(TenantId("a"), 5.0)
    table.begin(TenantId("c"))
    assert table.claim(TenantId("c"), 50, now=11.0) == ("b",)


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    wanted=st.integers(1, BUDGET),
    now=st.floats(0, 20),
)
def test_whatever_fits_gets_its_room_at_once_when_nobody_waits_or_is_pinned_however_young_the_others_are(
    sizes: list[int], wanted: int, now: float
) -> None:
    table = Residency(BUDGET, minimum_residence=10.0)
    for number, size in enumerate(sizes):
        if table.wanted_bytes + size <= BUDGET:
            fill(table, **{f"t{number}": size})
    table.begin(TenantId("new"))
    victims = table.claim(TenantId("new"), wanted, now)
    assert victims is not None
    for victim in victims:
        table.gone(victim)
    assert table.has_room_for(TenantId("new"))


def test_a_model_found_larger_than_reckoned_has_others_make_room_for_it() -> None:
    table = Residency(BUDGET)
    fill(table, a=40, b=40)
    table.correct(TenantId("b"), table.get(TenantId("b")).serial, 70)  # type: ignore[union-attr]
    assert table.held_bytes == 110
    assert table.overflow(LATER) == ("a",)


def test_a_lowered_ceiling_evicts_but_never_pins_and_holds_claims_back_politely() -> None:
    table = Residency(BUDGET, PINNED)
    fill(table, p0=20, a=30, b=30)
    table.ceiling = 50
    assert table.overflow(LATER) == ("a",)
    table.gone(TenantId("a"))
    table.begin(TenantId("c"))
    with pytest.raises(BusyError, match="short of memory"):
        table.claim(TenantId("c"), 40, LATER)
    assert table.claim(TenantId("c"), 30, LATER) == ("b",)
