"""Who is suspected of having killed Triton, and who is not loaded any more."""

from hypothesis import given
from hypothesis import strategies as st
from sidecar.quarantine import STRIKES, Quarantine

from tools.catalog.tenant import TenantId

A, B = TenantId("a"), TenantId("b")
steps = st.lists(st.tuples(st.sampled_from(["died", "loaded", "release"]), st.sampled_from([A, B]), st.integers(1, 3)))


def test_one_death_makes_a_suspect_and_two_a_quarantined_tenant() -> None:
    quarantine = Quarantine()
    assert not quarantine.died(A, 1).is_quarantined
    assert quarantine.is_suspect(A, 1)
    assert not quarantine.is_quarantined(A, 1)
    assert quarantine.died(A, 1).is_quarantined
    assert [(each.tenant, each.version) for each in quarantine] == [(A, 1)]


def test_another_version_is_innocent() -> None:
    quarantine = Quarantine()
    quarantine.died(A, 1)
    quarantine.died(A, 1)
    assert not quarantine.is_suspect(A, 2)
    assert not quarantine.is_quarantined(A, 2)


def test_another_version_that_loads_well_releases_the_tenant() -> None:
    quarantine = Quarantine()
    quarantine.died(A, 1)
    quarantine.died(A, 1)
    assert quarantine.loaded(A)
    assert list(quarantine) == []


def test_a_release_by_hand_gives_two_more_tries() -> None:
    quarantine = Quarantine()
    for _ in range(2):
        quarantine.died(A, 1)
        quarantine.died(A, 1)
        assert quarantine.is_quarantined(A, 1)
        assert quarantine.release(A)
    assert not quarantine.release(A)


@given(steps)
def test_only_deaths_in_a_row_of_one_version_quarantine_it(taken: list[tuple[str, TenantId, int]]) -> None:
    quarantine = Quarantine()
    in_a_row: dict[TenantId, tuple[int, int]] = {}
    for step, tenant, version in taken:
        if step == "died":
            last, deaths = in_a_row.get(tenant, (version, 0))
            in_a_row[tenant] = (version, deaths + 1 if last == version else 1)
            quarantine.died(tenant, version)
        else:
            in_a_row.pop(tenant, None)
            getattr(quarantine, step)(tenant)
    for tenant in (A, B):
        for version in (1, 2, 3):
            last, deaths = in_a_row.get(tenant, (0, 0))
            assert quarantine.is_suspect(tenant, version) == (last == version and deaths > 0)
            assert quarantine.is_quarantined(tenant, version) == (last == version and deaths >= STRIKES)


@given(steps)
def test_a_restart_changes_nothing(taken: list[tuple[str, TenantId, int]]) -> None:
    before, after = Quarantine(), Quarantine()
    for step, tenant, version in taken:
        before.died(tenant, version) if step == "died" else getattr(before, step)(tenant)
    after.restore(before.to_json())
    assert after.to_json() == before.to_json()
    assert list(after) == list(before)


def test_what_is_remembered_is_bounded() -> None:
    quarantine = Quarantine()
    for number in range(10_050):
        quarantine.died(TenantId(f"t{number}"), 1)
    assert len(quarantine.to_json()) == 10_000
    assert quarantine.is_suspect(TenantId("t10049"), 1)
