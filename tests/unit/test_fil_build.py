"""Building the FIL backend: what is built, when, and what is said when it cannot be."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

FIL = Path(__file__).resolve().parents[2] / "triton" / "fil"

# Writes what it is asked for into the file after -o; fails where a source says so.
COMPILER = """#!/bin/sh
if [ "$1" = --version ]; then echo "test compiler 1"; exit; fi
echo "$*" >> "$(dirname "$0")/calls"
for last; do
    [ "$previous" = -o ] && output=$last
    [ "$previous" = -c ] && grep -q 'will not compile' "$last" && { echo "error in $last"; exit 1; }
    previous=$last
done
echo built > "$output"
"""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of the backend's sources, and a compiler that only notes what it is asked."""

    root: Path

    @property
    def library(self) -> Path:
        return self.root / ".build" / "backends" / "fil" / "libtriton_fil.so"

    @property
    def calls(self) -> int:
        calls = self.root / "bin" / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    def build(self, *arguments: str, compiler: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(self.root / "triton" / "fil" / "build.py"), *arguments]
        environment = {**os.environ, "CXX": compiler or str(self.root / "bin" / "compiler")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    shutil.copytree(FIL, tmp_path / "triton" / "fil")
    compiler = tmp_path / "bin" / "compiler"
    compiler.parent.mkdir()
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    return Checkout(tmp_path)


def test_it_is_built_once(checkout: Checkout) -> None:
    assert checkout.build().returncode == 0
    assert checkout.library.exists()
    built = checkout.calls
    assert built > 1
    assert "up to date" in checkout.build().stdout
    assert checkout.calls == built


def test_a_changed_source_is_built_again(checkout: Checkout) -> None:
    checkout.build()
    built = checkout.calls
    with (checkout.root / "triton" / "fil" / "src" / "config.h").open("a") as header:
        header.write("// changed\n")
    checkout.build()
    assert checkout.calls == 2 * built


def test_a_failed_build_says_why_and_leaves_the_old_library(checkout: Checkout) -> None:
    checkout.build()
    (checkout.root / "triton" / "fil" / "src" / "config.cc").write_text("will not compile")
    failed = checkout.build()
    assert failed.returncode == 1
    assert "error in" in failed.stderr
    assert checkout.library.read_text() == "built\n"
    assert [path.name for path in checkout.library.parent.iterdir()] == ["libtriton_fil.so"]
    assert checkout.build().returncode == 1


def test_sanitizers_go_to_a_library_of_their_own(checkout: Checkout) -> None:
    assert checkout.build("--sanitize").returncode == 0
    assert not checkout.library.exists()
    assert (checkout.root / ".build" / "sanitized" / "fil" / "libtriton_fil.so").exists()
    assert "-fsanitize=address,undefined" in (checkout.root / "bin" / "calls").read_text()


def test_a_compiler_that_is_not_there_is_named(checkout: Checkout) -> None:
    failed = checkout.build(compiler="no-such-compiler")
    assert failed.returncode == 1
    assert failed.stderr == "build.py: CXX is 'no-such-compiler', which does not run\n"
