"""Tenants pinned and unpinned while the sidecar runs."""

import pytest
from sidecar.errors import CannotFitError
from sidecar.residency import Residency

from tools.catalog.tenant import TenantId

A, B, C = TenantId("a"), TenantId("b"), TenantId("c")


def _load(residency: Residency, tenant: TenantId) -> tuple[TenantId, ...] | None:
    residency.begin(tenant)
    victims = residency.claim(tenant, 40, now=10.0)
    for victim in victims or ():
        residency.gone(victim)
    if victims is not None:
        residency.start_loading(tenant, 1)
        residency.loaded(tenant, now=0.0)
    return victims


def test_a_resident_that_is_pinned_is_no_victim_from_then_on() -> None:
    residency = Residency(budget=100)
    _load(residency, A)
    _load(residency, B)
    residency.pin(A)
    assert _load(residency, C) == (B,)


def test_a_tenant_pinned_before_it_is_loaded_stays() -> None:
    residency = Residency(budget=50)
    residency.pin(A)
    _load(residency, A)
    with pytest.raises(CannotFitError):
        _load(residency, B)


def test_an_unpinned_tenant_is_a_victim_like_any_other() -> None:
    residency = Residency(budget=50, pinned=[A])
    _load(residency, A)
    residency.unpin(A)
    assert _load(residency, B) == (A,)
