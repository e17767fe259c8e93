"""Whatever is wrong with a bundle or its live pointer is noticed before anything of it is kept."""

import io
from pathlib import Path
from random import Random

import pytest

from tests.bundles import make_entry, pack, padded
from tests.damage import DAMAGES, Sound, Stored, edges, sealed
from tools.catalog.bundle import BadBundleError, HashingStream, unpack_bundle
from tools.catalog.live import BadPointerError, LivePointer
from tools.catalog.manifest import BadManifestError, Manifest
from tools.catalog.tenant import tenant_id

TENANT = tenant_id("m1")
SEEDS = range(12)


@pytest.fixture
def sound(tmp_path: Path) -> Sound:
    """A tiny tenant."""
    checkpoint = bytes(range(256)) * 6
    like = make_entry(tmp_path / "entry", TENANT, 1, checkpoint)
    return sealed(like, (tmp_path / "entry" / "config.pbtxt").read_bytes(), checkpoint, TENANT, 1)


def take(stored: Stored, into: Path) -> None:
    """What a node does with a pointer and its bundle. Nothing may be left of a bad one."""
    pointer = LivePointer.from_json(stored.pointer, TENANT)
    body = stored.bundle or b""
    if len(body) != pointer.bundle_bytes:
        raise BadBundleError("another size")
    into.mkdir(exist_ok=True)
    try:
        unpack_bundle(HashingStream(io.BytesIO(body), pointer.bundle_sha256), into, pointer.manifest)
    except BadBundleError:
        assert list(into.iterdir()) == []
        raise


def test_a_sound_one_is_taken(sound: Sound, tmp_path: Path) -> None:
    # What follows would prove nothing otherwise.
    take(sound.stored(), tmp_path / "out")
    assert (tmp_path / "out" / "1" / "checkpoint.tl").read_bytes() == sound.checkpoint


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused(sound: Sound, tmp_path: Path, damage: str) -> None:
    for seed in SEEDS:
        with pytest.raises((BadBundleError, BadPointerError)):
            take(DAMAGES[damage](sound, Random(seed)), tmp_path / "out")


def test_a_bundle_cut_at_any_byte_is_refused_even_if_its_pointer_agrees(sound: Sound, tmp_path: Path) -> None:
    whole = sound.bundle
    for kept in range(1, len(whole)):
        with pytest.raises(BadBundleError, match="cut short"):
            take(Stored(sound.pointer_to(whole[:kept]), whole[:kept]), tmp_path / "out")


def test_a_tar_cut_at_or_beside_any_edge_is_refused_even_if_its_frame_is_whole(sound: Sound, tmp_path: Path) -> None:
    plain = b"".join(padded(sound.members)) + bytes(1024)
    for edge in edges(sound.members):
        for kept in {edge - 1, edge, edge + 1} & set(range(1, len(plain))):
            bundle = pack([], end=plain[:kept])
            with pytest.raises(BadBundleError, match="holds less"):
                take(Stored(sound.pointer_to(bundle), bundle), tmp_path / "out")


def test_any_flipped_byte_is_refused(sound: Sound, tmp_path: Path) -> None:
    whole, pointer = sound.bundle, sound.stored().pointer
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        with pytest.raises(BadBundleError):
            take(Stored(pointer, bytes(flipped)), tmp_path / "out")


def test_an_entry_larger_than_the_memory_it_claims_is_refused(sound: Sound) -> None:
    text = sound.manifest.to_json().replace(
        f'"resident_bytes": {sound.manifest.resident_bytes}', f'"resident_bytes": {sound.manifest.entry_bytes - 1}'
    )
    with pytest.raises(BadManifestError, match="fewer than its files"):
        Manifest.from_json(text)


def test_a_number_too_long_for_python_is_refused_as_what_it_is(sound: Sound) -> None:
    with pytest.raises(BadManifestError, match="not JSON"):
        Manifest.from_json(sound.manifest.to_json().replace('"trees": 10', '"trees": ' + "9" * 5000))
    with pytest.raises(BadPointerError, match="Publish it again"):
        LivePointer.from_json(b"9" * 5000, TENANT)
