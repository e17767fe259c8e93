"""Bundles: the same bytes for the same entry, and nothing but what the manifest names comes out."""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bundles import make_bundle, make_entry, pack
from tools.catalog.bundle import (
    BadBundleError,
    HashingStream,
    read_manifest,
    unpack_bundle,
    verify_bundle,
    write_bundle,
)
from tools.catalog.manifest import Manifest

CHECKPOINT = bytes(range(256)) * 40
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def everything_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpack(body: bytes, into: Path, expected: Manifest) -> None:
    into.mkdir(exist_ok=True)
    unpack_bundle(io.BytesIO(body), into, expected)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return make_entry(tmp_path / "entry", "m1", 7, CHECKPOINT)


@pytest.fixture
def body(tmp_path: Path, manifest: Manifest) -> bytes:
    write_bundle(tmp_path / "entry", manifest, tmp_path / "b.tar.zst")
    return (tmp_path / "b.tar.zst").read_bytes()


@pytest.fixture
def members(tmp_path: Path, manifest: Manifest) -> list[tuple[str, bytes]]:
    return [
        ("manifest.json", manifest.to_json().encode()),
        ("config.pbtxt", (tmp_path / "entry" / "config.pbtxt").read_bytes()),
        ("7/checkpoint.tl", CHECKPOINT),
    ]


@quick
@given(checkpoint=st.binary(max_size=300_000), version=st.integers(1, 2**63 - 1))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, checkpoint: bytes, version: int) -> None:
    folder = tmp_path_factory.mktemp("b")
    manifest = make_entry(folder / "entry", "m1", version, checkpoint)
    write_bundle(folder / "entry", manifest, folder / "m1.tar.zst")
    unpack((folder / "m1.tar.zst").read_bytes(), folder / "out", manifest)
    written = everything_in(folder / "out")
    assert written.pop("manifest.json") == manifest.to_json().encode()
    assert written == everything_in(folder / "entry")
    assert read_manifest(folder / "m1.tar.zst") == manifest


def test_the_same_entry_always_gives_the_same_bytes(tmp_path: Path, manifest: Manifest, body: bytes) -> None:
    (tmp_path / "entry" / "config.pbtxt").touch()
    write_bundle(tmp_path / "entry", manifest, tmp_path / "again" / "b.tar.zst")
    assert (tmp_path / "again" / "b.tar.zst").read_bytes() == body


def test_ordinary_tar_and_zstd_read_a_bundle(body: bytes, manifest: Manifest) -> None:
    plain = zstandard.ZstdDecompressor().decompress(body)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert tar.getnames() == ["manifest.json", "config.pbtxt", "7/checkpoint.tl"]
        assert all(member.mtime == member.uid == member.gid == 0 and not member.uname for member in tar)
        assert Manifest.from_json(tar.extractfile("manifest.json").read()) == manifest  # type: ignore[union-attr]


@pytest.mark.parametrize("change", [b"", CHECKPOINT[:-1], CHECKPOINT + b"x", CHECKPOINT[:-1] + b"x"])
def test_an_entry_that_is_not_as_its_manifest_says_is_not_packed(
    tmp_path: Path, manifest: Manifest, change: bytes
) -> None:
    (tmp_path / "entry" / "7" / "checkpoint.tl").write_bytes(change)
    with pytest.raises(BadBundleError, match=r"checkpoint\.tl is not the file its manifest describes"):
        write_bundle(tmp_path / "entry", manifest, tmp_path / "out" / "b.tar.zst")
    assert everything_in(tmp_path / "out") == {}


@quick
@given(where=st.floats(0, 1, exclude_max=True))
def test_a_truncated_bundle_is_refused_and_leaves_nothing(
    tmp_path: Path, manifest: Manifest, body: bytes, where: float
) -> None:
    with pytest.raises(BadBundleError):
        unpack(body[: int(where * len(body))], tmp_path / "out", manifest)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_a_bundle_without_the_end_of_its_checksum_is_refused(body: bytes, missing: int) -> None:
    with pytest.raises(BadBundleError, match="cut short"):
        verify_bundle(io.BytesIO(body[:-missing]))


@quick
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_and_leaves_nothing(
    tmp_path: Path, manifest: Manifest, body: bytes, where: float, bit: int
) -> None:
    damaged = bytearray(body)
    damaged[int(where * len(body))] ^= 1 << bit
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    # A few bits of a zstd frame mean nothing, so the bundle's own hash has the last word.
    with pytest.raises(BadBundleError):
        unpack_bundle(HashingStream(io.BytesIO(damaged), _sha256(body)), out, manifest)
    assert list(out.iterdir()) == []


def _sha256(body: bytes) -> str:
    stream = HashingStream(io.BytesIO(body))
    stream.read(len(body))
    return stream.sha256


@quick
@given(junk=st.binary(max_size=2_000))
def test_bytes_that_are_no_bundle_are_refused(tmp_path: Path, manifest: Manifest, junk: bytes) -> None:
    with pytest.raises(BadBundleError):
        unpack(junk, tmp_path / "out", manifest)
    with pytest.raises(BadBundleError):
        verify_bundle(io.BytesIO(zstandard.compress(junk)))


def test_a_bundle_of_another_manifest_is_refused(tmp_path: Path, manifest: Manifest, body: bytes) -> None:
    with pytest.raises(BadBundleError, match="live pointer"):
        unpack(body, tmp_path / "out", replace(manifest, trees=manifest.trees + 1))


def test_a_hand_made_archive_of_the_right_members_is_accepted(
    tmp_path: Path, manifest: Manifest, members: list[tuple[str, bytes]]
) -> None:
    # The refusals below would prove nothing if pack could not make a good one.
    unpack(pack(members), tmp_path / "out", manifest)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_folders_and_devices_are_refused(
    tmp_path: Path, manifest: Manifest, members: list[tuple[str, bytes]], kind: bytes
) -> None:
    with pytest.raises(BadBundleError, match=r"does not hold 7/checkpoint\.tl"):
        unpack(pack(members, kinds={2: kind}), tmp_path / "out", manifest)


@pytest.mark.parametrize("name", ["../checkpoint.tl", "/7/checkpoint.tl", "8/checkpoint.tl", "7/../../checkpoint.tl"])
def test_a_member_with_another_name_is_refused_and_written_nowhere(
    tmp_path: Path, manifest: Manifest, members: list[tuple[str, bytes]], name: str
) -> None:
    before = everything_in(tmp_path)
    with pytest.raises(BadBundleError):
        unpack(pack([*members[:2], (name, CHECKPOINT)]), tmp_path / "out", manifest)
    assert everything_in(tmp_path) == before


def test_missing_extra_and_reordered_members_are_refused(manifest: Manifest, members: list[tuple[str, bytes]]) -> None:
    first, second, third = members
    for wrong in ([first, second], [first, third, second], [second, third], [*members, ("x", b"")], [first, *members]):
        with pytest.raises(BadBundleError):
            verify_bundle(io.BytesIO(pack(wrong)))


def test_bytes_between_and_after_the_members_are_refused(body: bytes, members: list[tuple[str, bytes]]) -> None:
    for wrong in (body + b"x", body + body, pack(members, end=bytes(1025)), pack(members, end=b"x" * 1024)):
        with pytest.raises(BadBundleError, match=r"goes on|holds more"):
            verify_bundle(io.BytesIO(wrong))


def test_a_frame_that_asks_for_a_huge_window_is_refused(manifest: Manifest) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    greedy = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(BadBundleError, match="memory"):
        verify_bundle(io.BytesIO(greedy.compress(bytes(1 << 20)) + greedy.flush()))


def test_a_bomb_is_refused_long_before_it_is_unpacked(members: list[tuple[str, bytes]]) -> None:
    bomb = pack(members, end=bytes(256 << 20))
    stream = io.BytesIO(bomb)
    with pytest.raises(BadBundleError, match="goes on"):
        verify_bundle(stream)


def test_a_checkpoint_larger_than_one_piece_survives(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "m1", 1, bytes(1 << 23) + b"end")
    with bundle.open("rb") as file:
        assert verify_bundle(file) == read_manifest(bundle)
