"""Builds `libtriton_fil.so`, the FIL backend for machines without NVIDIA's image.

    python triton/fil/build.py [--sanitize]

It takes the compiler named by CXX, else the system's, else PyPI's `ziglang`, and links PyPI's treelite where it is
installed. It does nothing where the sources, the compiler, the flags and treelite are those of the last build.
"""

import argparse
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent / "src"
LIBRARY = "libtriton_fil.so"

COMPILE = ("-std=c++20", "-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wshadow")
# The server, not a library, defines Triton's functions, so they stay undefined here.
LINK = ("-shared", "-Wl,-z,undefs", "-Wl,-z,now")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer")


class BuildError(Exception):
    """The backend cannot be built; the message says what to install or shows what the compiler said."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A command that compiles C++20 and links, and what it says about itself."""

    command: tuple[str, ...]
    version: str

    @property
    def flags(self) -> tuple[str, ...]:
        # GCC 12 warns about std::variant in its own headers; clang does not know the warning.
        return () if "clang" in self.version else ("-Wno-maybe-uninitialized",)


@dataclass(frozen=True, slots=True)
class Treelite:
    """PyPI's treelite: its folder of shared libraries, and its version."""

    folder: Path
    version: str


def find_toolchain() -> Toolchain:
    """The first of CXX, c++, g++, clang++ and ziglang that runs. Raises BuildError."""
    named = os.environ.get("CXX")
    candidates = [shlex.split(named)] if named else [["c++"], ["g++"], ["clang++"]]
    if not named and importlib.util.find_spec("ziglang"):
        candidates.append([sys.executable, "-m", "ziglang", "c++"])
    for command in candidates:
        if shutil.which(command[0]):
            answer = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
            if answer.returncode == 0:
                return Toolchain(tuple(command), answer.stdout.splitlines()[0])
    if named:
        raise BuildError(f"CXX is {named!r}, which does not run")
    raise BuildError("no C++ compiler: apt-get install g++, or pip install ziglang")


def find_treelite() -> Treelite:
    """The installed treelite, without importing it. Raises BuildError."""
    spec = importlib.util.find_spec("treelite")
    if spec is None or spec.origin is None:
        raise BuildError("no treelite for this Python: pip install treelite")
    package = Path(spec.origin).parent
    return Treelite(package / "lib", (package / "VERSION").read_text().strip())


def fingerprint(paths: Iterable[Path], words: Sequence[str]) -> str:
    """SHA-256 of the files' names and contents and of `words`."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    digest.update("\0".join(words).encode())
    return digest.hexdigest()


def run(command: Sequence[str]) -> None:
    """Raises BuildError with what the command printed, where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{shlex.join(command)}\n{done.stdout}{done.stderr}")


def compile_and_link(toolchain: Toolchain, treelite: Treelite, flags: Sequence[str], library: Path) -> None:
    """Writes `library` in one step: a server that is starting sees the old one or the new one."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="build-") as scratch:
        sources = sorted(SOURCES.glob("*.cc"))
        objects = [Path(scratch, source.stem + ".o") for source in sources]
        commands = [
            [*toolchain.command, *COMPILE, *toolchain.flags, *flags, "-c", str(source), "-o", str(compiled)]
            for source, compiled in zip(sources, objects, strict=True)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(run, commands))
        linked = Path(scratch, LIBRARY)
        where = [f"-L{treelite.folder}", "-ltreelite", f"-Wl,-rpath,{treelite.folder}"]
        run([*toolchain.command, *LINK, *flags, *map(str, objects), *where, "-o", str(linked)])
        linked.replace(library)


def build(library: Path, sanitize: bool = False) -> bool:
    """Builds `library` unless it is up to date; returns whether it did. Raises BuildError."""
    toolchain, treelite = find_toolchain(), find_treelite()
    flags = SANITIZE if sanitize else ()
    words = [*toolchain.command, toolchain.version, *COMPILE, *LINK, *flags, str(treelite.folder), treelite.version]
    wanted = fingerprint([Path(__file__), *SOURCES.rglob("*.cc"), *SOURCES.rglob("*.h")], words)
    stamp = library.with_suffix(".stamp")
    if library.exists() and stamp.exists() and stamp.read_text() == wanted:
        return False
    stamp.unlink(missing_ok=True)
    print(f"building {library} with {toolchain.version}, treelite {treelite.version}", flush=True)
    compile_and_link(toolchain, treelite, flags, library)
    stamp.write_text(wanted)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the FIL backend.")
    parser.add_argument(
        "--sanitize",
        action="store_true",
        help="with AddressSanitizer and UndefinedBehaviorSanitizer, into .build/sanitized: "
        "start the server with TRITON_BACKENDS there and TRITON_PRELOAD naming libasan.so, as make sanitize does",
    )
    sanitize = parser.parse_args().sanitize
    library = ROOT / ".build" / ("sanitized" if sanitize else "backends") / "fil" / LIBRARY
    try:
        if not build(library, sanitize):
            print(f"{library} is up to date")
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
