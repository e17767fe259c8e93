"""The FIL backend's reader of JSON, against Python's."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "triton" / "fil" / "src"

Documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Reader:
    """The reader in a process of its own: a document in, what it understood out."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self, document: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(document + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().rstrip("\n")

    def close(self) -> None:
        self._process.communicate(timeout=5)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    compiler = ["c++"] if shutil.which("c++") else [sys.executable, "-m", "ziglang", "c++"]
    program = tmp_path_factory.mktemp("json") / "echo"
    sources = (HERE / "json_echo.cc", SOURCES / "json.cc")
    subprocess.run([*compiler, "-std=c++20", "-w", f"-I{SOURCES}", *sources, "-o", program], check=True)
    running = Reader(program)
    yield running
    running.close()


@given(document=Documents, ascii_only=st.booleans(), indent=st.sampled_from([None, (",", ":"), (" , ", " : ")]))
def test_every_document_is_understood_as_python_does(
    reader: Reader, document: object, ascii_only: bool, indent: tuple[str, str] | None
) -> None:
    assert json.loads(reader.read(json.dumps(document, ensure_ascii=ascii_only, separators=indent))) == document


@given(document=Documents, cut=st.integers(1, 40))
def test_a_document_that_ends_early_is_refused(reader: Reader, document: object, cut: int) -> None:
    whole = json.dumps({"document": document})
    assert reader.read(whole[: max(len(whole) - cut, 0)]).startswith("!not JSON at byte")


@pytest.mark.parametrize(
    "document",
    ["", "{", "[1,]", '{"a" 1}', '{"a":1,}', "{a:1}", "nul", "truth", '"\\x"', '"\\u12g4"', "1 2", "-", "1e999", "NaN"],
)
def test_what_is_not_json_is_refused_with_its_place(reader: Reader, document: str) -> None:
    assert reader.read(document).startswith("!not JSON at byte")


def test_a_document_nested_too_deep_is_refused(reader: Reader) -> None:
    assert reader.read("[" * 100_000).endswith("nested too deep")
