"""What models count as, after what was measured: near the truth, and never absurd."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sidecar.memory.file import SizesFile
from sidecar.memory.sizes import LEAST, MOST, Sizes

from tests.bundles import make_manifest
from tools.catalog.tenant import TenantId

A, B = TenantId("a"), TenantId("b")
MB = 10**6

readings = st.lists(
    st.tuples(st.sampled_from([A, B]), st.integers(1, 3), st.integers(1, 100 * MB), st.integers(-(10**11), 10**11)),
    max_size=30,
)


def learnt(news: list[tuple[TenantId, int, int, int]]) -> Sizes:
    sizes = Sizes()
    for reading in news:
        sizes.learn(*reading)
    return sizes


@given(news=readings, version=st.integers(1, 3), reckoned=st.integers(1, 100 * MB))
def test_whatever_was_read_a_model_counts_for_half_to_three_times_what_was_reckoned(
    news: list[tuple[TenantId, int, int, int]], version: int, reckoned: int
) -> None:
    sizes = learnt(news)
    for tenant in (A, B, TenantId("never-measured")):
        assert LEAST * reckoned - 1 <= sizes.counted(tenant, version, reckoned) <= MOST * reckoned + 1


@given(ratio=st.floats(LEAST, MOST), reckoned=st.integers(MB, 100 * MB))
def test_a_model_that_measures_the_same_each_time_comes_to_count_for_that(ratio: float, reckoned: int) -> None:
    measured = round(ratio * reckoned)
    counted = learnt([(A, 1, reckoned, measured)] * 12).counted(A, 1, reckoned)
    assert counted == pytest.approx(measured, rel=0.01)


@given(news=readings)
def test_a_restart_changes_nothing(news: list[tuple[TenantId, int, int, int]]) -> None:
    sizes, again = learnt(news), Sizes()
    again.restore(json.loads(json.dumps(sizes.to_json())))
    for tenant in (A, B):
        for version in (1, 2, 3):
            after = again.counted(tenant, version, 10 * MB)
            assert after == pytest.approx(sizes.counted(tenant, version, 10 * MB), rel=1e-3)


def test_one_odd_reading_moves_a_model_half_of_the_way() -> None:
    assert learnt([(A, 1, 10 * MB, 20 * MB)]).counted(A, 1, 10 * MB) == 15 * MB


def test_another_version_counts_as_models_do_in_general() -> None:
    sizes = learnt([(A, 1, 40 * MB, 60 * MB)])
    assert 10 * MB < sizes.counted(A, 2, 10 * MB) == sizes.counted(B, 1, 10 * MB) < 11 * MB


def test_in_general_many_measurements_are_believed_more_than_one() -> None:
    news = [(TenantId(f"t{number}"), 1, 40 * MB, 60 * MB) for number in range(200)]
    assert learnt(news[:1]).factor < learnt(news[:20]).factor < learnt(news).factor <= 1.5


def test_nothing_measured_is_counted_as_reckoned() -> None:
    manifest = make_manifest(A, 1, b"", b"")
    assert Sizes().of(manifest) == manifest.resident_bytes


def test_the_file_brings_it_back(tmp_path: Path) -> None:
    sizes, again = Sizes(), Sizes()
    file = SizesFile(tmp_path / "state" / "sizes.json", sizes)
    file.save()
    assert not (tmp_path / "state").exists(), "there was nothing to save"
    sizes.learn(A, 1, 10 * MB, 20 * MB)
    file.save()
    SizesFile(tmp_path / "state" / "sizes.json", again).restore()
    assert again.counted(A, 1, 10 * MB) == 15 * MB


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "sizes": {"tenants": {"a": 3}}}'])
def test_a_damaged_file_is_a_fresh_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sizes.json"
    path.write_text(text)
    sizes = Sizes()
    SizesFile(path, sizes).restore()
    assert sizes.counted(A, 1, MB) == MB
