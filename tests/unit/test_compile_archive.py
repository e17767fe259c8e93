"""Hostile and damaged archives: refused, and nothing else is touched."""

import gzip
import io
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.compile import archive as archives
from tools.compile.archive import Archive
from tools.compile.errors import RefusedError

_MODEL = b'{"learner":1}'


def _pack(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", format=form) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def _contents(packed: bytes) -> dict[str, bytes]:
    return {file.name: file.read(1 << 20) for file in Archive(io.BytesIO(packed)).files()}


def test_plain_files_and_folders_are_read() -> None:
    packed = _pack((_member("m", tarfile.DIRTYPE), b""), (_member("m/a"), _MODEL), (_member("b"), b""))
    assert _contents(packed) == {"m/a": _MODEL, "b": b""}


@pytest.mark.parametrize("name", ["/etc/passwd", "../m", "a/../../m", ".."])
def test_a_path_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="leads out of it"):
        _contents(_pack((_member("xgboost-model"), _MODEL), (_member(name), b"x")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_is_refused(kind: bytes) -> None:
    with pytest.raises(RefusedError, match="has a link, 'xgboost-model'"):
        _contents(_pack((_member("xgboost-model", kind, "/etc/shadow"), b"")))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_is_refused(kind: bytes) -> None:
    with pytest.raises(RefusedError, match="neither a plain file nor a folder"):
        _contents(_pack((_member("xgboost-model", kind), b"")))


def test_a_sparse_file_is_refused() -> None:
    info = _member("xgboost-model")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    with pytest.raises(RefusedError):
        _contents(_pack((info, b"1\n0\n1\n".ljust(512, b"\0"))))


def test_a_bomb_is_refused_by_its_ratio() -> None:
    packed = _pack((_member("xgboost-model"), bytes(8 << 20)))
    assert len(packed) < 20_000
    file = next(Archive(io.BytesIO(packed)).files())
    with pytest.raises(RefusedError, match="100 times its size: it is a bomb"):
        file.read(64 << 20)


def test_a_bomb_that_nobody_reads_is_refused_when_it_is_skipped() -> None:
    with pytest.raises(RefusedError, match="bomb"):
        _contents(_pack((_member("zeros"), bytes(8 << 20)), (_member("xgboost-model"), _MODEL)))


def test_a_bomb_in_a_header_is_refused() -> None:
    with pytest.raises(RefusedError, match="bomb"):
        _contents(_pack((_member("n" * (8 << 20)), b""), form=tarfile.GNU_FORMAT))


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MODEL_BYTES_MAX", 4096)
    with pytest.raises(RefusedError, match="unpacks to more than"):
        _contents(_pack(*((_member(str(number)), b"x" * 4000) for number in range(5))))


def test_a_member_that_claims_too_much_is_refused_before_it_is_read() -> None:
    info = _member("xgboost-model")
    info.size = 1 << 40
    with pytest.raises(RefusedError, match="larger than 1024 MiB"):
        _contents(gzip.compress(info.tobuf(tarfile.PAX_FORMAT)))


def test_too_many_members_are_refused() -> None:
    with pytest.raises(RefusedError, match="more than 1000 members"):
        _contents(_pack(*((_member(str(number)), b"") for number in range(1001))))


@pytest.mark.parametrize("packed", [b"\x1f\x8b", gzip.compress(b"no tar at all"), gzip.compress(b"x" * 2000)])
def test_what_is_no_archive_is_refused(packed: bytes) -> None:
    with pytest.raises(RefusedError, match="the archive is damaged"):
        _contents(packed)


_GOOD = _pack((_member("notes"), b"n" * 700), (_member("xgboost-model"), _MODEL * 300))


@settings(deadline=None)
@given(st.integers(0, len(_GOOD) - 1))
def test_a_cut_archive_never_gives_a_wrong_file(length: int) -> None:
    whole = _contents(_GOOD)
    try:
        found = _contents(_GOOD[:length])
    except RefusedError:
        return
    assert found == whole


@settings(deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_read_but_never_crashes(data: st.DataObject) -> None:
    damaged = bytearray(_GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        _contents(bytes(damaged))
    except RefusedError:
        return


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_reading_never_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with suppress(RefusedError, ValueError, UnicodeError):
        _contents(_pack((_member(name), b"x"), (_member(f"sub/{name}"), b"y")))
    assert list(tmp_path.iterdir()) == []
