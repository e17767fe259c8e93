"""The live pointer: what is written is read back, and nothing else is believed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles import make_manifest
from tools.catalog.live import BadPointerError, LivePointer, utc_now
from tools.catalog.tenant import TenantId

TENANT = TenantId("m1")
POINTER = LivePointer(make_manifest("m1", 3, b"config", b"trees"), "ab" * 32, 1234, "2026-01-02T03:04:05.678+00:00")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def paths_of(raw: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [path for key, value in children for path in ((*prefix, key), *paths_of(value, (*prefix, key)))]


def test_a_pointer_is_read_back_as_written() -> None:
    assert LivePointer.from_json(POINTER.to_json(), TENANT) == POINTER
    assert (POINTER.tenant, POINTER.version) == ("m1", 3)


def test_the_pointer_of_another_tenant_is_refused() -> None:
    with pytest.raises(BadPointerError, match="m2 is that of m1"):
        LivePointer.from_json(POINTER.to_json(), TenantId("m2"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bundle_sha256", "AB" * 32),
        ("bundle_sha256", "ab"),
        ("bundle_sha256", None),
        ("bundle_bytes", 0),
        ("bundle_bytes", True),
        ("bundle_bytes", 1.5),
        ("published_at", "yesterday"),
        ("published_at", "2026-01-02T03:04:05"),
        ("published_at", "2026-01-02T03:04:05+02:00"),
        ("manifest", None),
        ("manifest", {}),
    ],
)
def test_an_impossible_field_is_refused(field: str, value: object) -> None:
    raw = json.loads(POINTER.to_json())
    raw[field] = value
    with pytest.raises(BadPointerError, match="Publish it again"):
        LivePointer.from_json(json.dumps(raw), TENANT)


def test_now_is_a_time_that_is_believed() -> None:
    raw = json.loads(POINTER.to_json())
    raw["published_at"] = utc_now()
    assert LivePointer.from_json(json.dumps(raw), TENANT).published_at == raw["published_at"]


@given(st.binary(max_size=200) | JSON.map(lambda raw: json.dumps(raw).encode()))
def test_junk_is_refused_and_nothing_but_refused(text: bytes) -> None:
    with pytest.raises(BadPointerError):
        LivePointer.from_json(text, TENANT)


def test_deeply_nested_junk_is_refused() -> None:
    with pytest.raises(BadPointerError):
        LivePointer.from_json("[" * 100_000, TENANT)


@given(data=st.data())
def test_a_pointer_with_any_part_replaced_is_refused_or_still_consistent(data: st.DataObject) -> None:
    raw = json.loads(POINTER.to_json())
    *parents, last = data.draw(st.sampled_from(paths_of(raw)))
    place = raw
    for key in parents:
        place = place[key]
    place[last] = data.draw(JSON)
    try:
        pointer = LivePointer.from_json(json.dumps(raw), TENANT)
    except BadPointerError:
        return
    assert pointer.tenant == TENANT
    assert pointer.bundle_bytes > 0
    assert LivePointer.from_json(pointer.to_json(), TENANT) == pointer
