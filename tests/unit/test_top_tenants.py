"""Who is shown by name: never more than there are places, whatever the traffic."""

import random

from sidecar.observability.top_tenants import TopTenants

from tools.catalog.tenant import TenantId


def named(top: TopTenants) -> set[str]:
    return {each.tenant for each in top.shown()}


def test_places_are_bounded_though_every_tenant_calls() -> None:
    top = TopTenants(5, lambda _: False)
    for call in range(20_000):
        top.add(TenantId(f"t{call % 4_000}"), 0.001, 1, now=call / 10)
        assert len(top.shown()) <= 5 if call % 500 == 0 else True
    assert len(named(top)) == 5


def test_pinned_tenants_have_a_place_of_their_own() -> None:
    top = TopTenants(1, lambda tenant: tenant == "whale")
    top.add(TenantId("busy"), 0.001, 1_000, now=0.0)
    top.add(TenantId("whale"), 0.001, 1, now=1.0)
    assert named(top) == {"busy", "whale"}


def test_the_busiest_get_the_places_in_the_end() -> None:
    top = TopTenants(2, lambda _: False)
    for second in range(1_000):
        for number in range(10):
            top.add(TenantId(f"t{number}"), 0.001, 100 if number in (7, 8) else 1, now=float(second))
    assert named(top) == {"t7", "t8"}


def test_places_do_not_change_hands_between_tenants_that_are_as_busy() -> None:
    top, draw = TopTenants(5, lambda _: False), random.Random(1)
    shown: set[str] = set()
    for second in range(3_600):
        top.add(TenantId(f"t{draw.randrange(8)}"), 0.001, 1, now=float(second))
        shown |= named(top)
    assert len(shown) <= 6


def test_counts_go_on_while_a_tenant_has_no_place() -> None:
    top = TopTenants(1, lambda _: False)
    top.add(TenantId("first"), 0.5, 2, now=0.0)
    for minute in range(1, 30):
        top.add(TenantId("second"), 0.001, 100, now=60.0 * minute)
        top.add(TenantId("third"), 0.001, 50, now=60.0 * minute)
    assert named(top) == {"second"}
    for minute in range(30, 90):
        top.add(TenantId("first"), 0.5, 1_000, now=60.0 * minute)
    (first,) = top.shown()
    assert (first.tenant, first.calls, first.seconds) == ("first", 60_002, 30_001.0)
