"""What a file is, told by how it begins."""

import io
import pickle
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.boosters import train
from tools.compile.errors import RefusedError
from tools.compile.source import HEAD_BYTES, Kind, kind_of, read_model

_MODEL = b'{"learner":{"attributes":{}}}'


class _Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._mark,)


def pack(members: dict[str, bytes]) -> bytes:
    """A .tar.gz of plain files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def _read(tmp_path: Path, content: bytes) -> bytes:
    path = tmp_path / "model"
    path.write_bytes(content)
    return read_model(path)


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_both_formats_of_xgboost_are_models(form: str) -> None:
    assert kind_of(bytes(train("reg:squarederror").save_raw(form))[:HEAD_BYTES]) is Kind.MODEL


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("packed", [False, True], ids=["bare", "in an archive"])
def test_a_pickle_is_refused_and_never_opened(tmp_path: Path, protocol: int, packed: bool) -> None:
    mark = tmp_path / "mark"
    trap = pickle.dumps(_Trap(mark), protocol)
    with pytest.raises(RefusedError):
        _read(tmp_path, pack({"xgboost-model": trap}) if packed else trap)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_booster_is_told_how_to_be_saved(tmp_path: Path, protocol: int) -> None:
    with pytest.raises(RefusedError, match=r"is a pickle.*never opened.*save_model\('model.ubj'\)"):
        _read(tmp_path, pickle.dumps(train("reg:squarederror"), protocol))


@pytest.mark.parametrize("head", [b"binf\x00\x00\x00?", b"\x00\x00\x00?\x06\x00\x00\x00\x00\x00\x00\x00"])
def test_the_old_binary_format_is_told_how_to_be_converted(tmp_path: Path, head: bytes) -> None:
    with pytest.raises(RefusedError, match=r"load it with an XGBoost below 3.1"):
        _read(tmp_path, head + bytes(100))


@pytest.mark.parametrize("content", [b"", b"id,score\n1,2\n", b"[1,2]", b'{"features": ["a"]}', b"PK\x03\x04zip"])
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(RefusedError, match="it is not an XGBoost model"):
        _read(tmp_path, content)


@given(st.binary(max_size=40))
def test_only_an_object_with_a_learner_is_a_model(head: bytes) -> None:
    assert kind_of(head) is not Kind.MODEL or (head.lstrip()[:1] == b"{" and b"learner" in head)


@pytest.mark.parametrize("name", ["xgboost-model", "model.ubj", "model.json", "model.bin", "export/final", "./model"])
def test_the_model_in_an_archive_is_found_by_what_it_is(tmp_path: Path, name: str) -> None:
    members = {"code/inference.py": b"import os", "._x": b"\x00\x05", "features.json": b'["a"]', name: _MODEL * 100}
    assert _read(tmp_path, pack(members)) == _MODEL * 100


def test_two_models_in_an_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"two models, 'a.ubj' and 'b.ubj': leave one"):
        _read(tmp_path, pack({"a.ubj": _MODEL, "b.ubj": _MODEL}))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "no XGBoost model .nothing."),
        ({"notes.txt": b"hello", "a.csv": b"1"}, "no XGBoost model .a.csv, notes.txt."),
        ({"xgboost-model": b"\x80\x04\x95abc", "z": b"z"}, "'xgboost-model': it is a pickle"),
        ({"model.bin": b"binf\x00\x00\x00?"}, "'model.bin': it looks like XGBoost's old binary format"),
        ({"inner.tar.gz": b"\x1f\x8b\x08\x00"}, "'inner.tar.gz': it is a gzip file inside"),
    ],
)
def test_an_archive_without_a_model_says_what_was_there(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        _read(tmp_path, pack(members))
