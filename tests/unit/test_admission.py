"""The sidecar's own limits: what may begin, and when."""

from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sidecar.access.admission import Admission
from sidecar.errors import TooManyCallsError

from tools.access.limits import NO_LIMITS, Limit, Limits
from tools.catalog.tenant import TenantId, tenant_id

A, B = tenant_id("a"), tenant_id("b")
LIMITS = st.builds(Limit, rate=st.integers(1, 50), burst=st.integers(0, 20), concurrency=st.integers(1, 5))
# Seconds since the call before, and which tenant.
ARRIVALS = st.lists(st.tuples(st.floats(0, 2, width=32), st.sampled_from([A, B])), max_size=80)


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _begins(admission: Admission, tenant: TenantId) -> bool:
    with suppress(TooManyCallsError), admission.call(tenant):
        return True
    return False


@given(LIMITS, ARRIVALS)
def test_no_span_of_time_has_more_calls_than_its_rate_and_the_burst(
    limit: Limit, arrivals: list[tuple[float, TenantId]]
) -> None:
    clock = Clock()
    admission = Admission(Limits(limit), clock)
    begun = []
    for waited, _ in arrivals:
        clock.now += waited
        if _begins(admission, A):
            begun.append(clock.now)
    for first in range(len(begun)):
        for last in range(first, len(begun)):
            most = limit.burst + 1 + limit.rate * (begun[last] - begun[first])
            assert last - first + 1 <= most + 1e-6


@given(LIMITS, ARRIVALS)
def test_a_tenants_calls_change_nothing_for_another(limit: Limit, arrivals: list[tuple[float, TenantId]]) -> None:
    clock = Clock()
    shared, alone = Admission(Limits(limit), clock), Admission(Limits(limit), clock)
    for waited, tenant in arrivals:
        clock.now += waited
        if tenant == A:
            _begins(shared, A)
        else:
            assert _begins(shared, B) == _begins(alone, B)


@given(LIMITS, st.floats(0.001, 10))
def test_who_keeps_to_the_rate_is_never_refused(limit: Limit, slower: float) -> None:
    clock = Clock()
    admission = Admission(Limits(limit), clock)
    for _ in range(100):
        assert _begins(admission, A)
        clock.now += (1 + slower) / limit.rate


@given(st.integers(1, 20))
def test_so_many_calls_run_at_once_and_one_that_ends_makes_room(concurrency: int) -> None:
    admission = Admission(Limits(Limit(1000, 1000, concurrency)), Clock())
    with ExitStack() as running:
        for _ in range(concurrency - 1):
            running.enter_context(admission.call(A))
        with admission.call(A), pytest.raises(TooManyCallsError, match="at once"), admission.call(A):
            pass
        with admission.call(A), admission.call(B):
            pass


def test_a_refused_call_uses_nothing_up() -> None:
    clock = Clock()
    admission = Admission(Limits(Limit(rate=1, burst=0)), clock)
    assert _begins(admission, A)
    clock.now = 0.9
    assert not _begins(admission, A)
    clock.now = 1.0
    assert _begins(admission, A)


def test_a_tenant_without_a_limit_is_not_counted() -> None:
    admission = Admission(NO_LIMITS, Clock())
    assert all(_begins(admission, A) for _ in range(10_000))
    assert len(admission) == 0


def test_tenants_that_do_not_call_any_more_are_forgotten() -> None:
    clock = Clock()
    admission = Admission(Limits(Limit(rate=1)), clock)
    for number in range(25_000):
        clock.now += 0.001
        assert _begins(admission, tenant_id(f"m{number}"))
    assert len(admission) <= 11_000
