"""Compiling many models: which files, as which tenants, and where the bundles go."""

import secrets
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tools.catalog.bundle import BUNDLE_SUFFIX
from tools.catalog.manifest import Manifest
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id
from tools.compile.children import Limits, Outcome, run_in_children
from tools.compile.request import Job, Request

# Pickles are taken along so that their owner hears why they are refused.
MODEL_SUFFIXES = (".tar.gz", ".tgz", ".ubj", ".json", ".model", ".bst", ".bin", ".pkl", ".pickle", ".joblib")


class BadSourceError(ValueError):
    """What was asked for names no models, or names that cannot be tenants."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A model that is now a bundle."""

    manifest: Manifest
    bundle: Path


@dataclass(frozen=True, slots=True)
class Failed:
    """A model that is not, and why."""

    source: Path
    tenant: TenantId
    reason: str


def new_version(now: datetime | None = None) -> int:
    """A version nobody else has, without asking the store: UTC to the millisecond, then two random digits."""
    now = now or datetime.now(UTC)
    return int(f"{now:%Y%m%d%H%M%S}{now.microsecond // 1000:03}{secrets.randbelow(100):02}")


def find_requests(source: Path, tenant: str | None, version: int, release: str) -> list[Request]:
    """The models at `source`, a file or a folder of files, each with its tenant: `tenant`, or the file's stem.

    Raises:
        BadSourceError: nothing there is a model file, a name is not a tenant id, or two files have the same one.
    """
    if source.is_dir():
        if tenant is not None:
            raise BadSourceError("--tenant names one model: give it with a file, not with a folder")
        files = sorted(path for path in source.iterdir() if path.name.endswith(MODEL_SUFFIXES) and path.is_file())
    else:
        files = [source] if source.is_file() else []
    if not files:
        raise BadSourceError(f"there is no model at {source}: model files end in {', '.join(MODEL_SUFFIXES)}")
    return _requests([(path, tenant or tenant_name(path)) for path in files], version, release)


def tenant_name(path: Path) -> str:
    """The file's name without the suffix of a model file."""
    for suffix in MODEL_SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


def compile_models(
    requests: Sequence[Request], out: Path, jobs: int, limits: Limits, entries: Path | None = None
) -> Generator[Compiled | Failed, None, None]:
    """Compile each request to `<out>/<tenant>/<version>.tar.zst`, as they get ready.

    With `entries`, the repository entries are left in `<entries>/<tenant>/` too, in place of what was there. What
    fails leaves nothing, and neither does whoever stops early.

    Raises:
        OSError: `out` or `entries` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    if entries is not None:
        entries.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".compiling-", dir=out) as scratch:
        works = (Job(request, Path(scratch) / str(number)) for number, request in enumerate(requests))
        with closing(run_in_children("tools.compile.worker", "compile_job", works, jobs, limits)) as outcomes:
            for outcome in outcomes:
                yield _finish(outcome, out, entries)
                shutil.rmtree(outcome.work.folder, ignore_errors=True)


def _requests(named: list[tuple[Path, str]], version: int, release: str) -> list[Request]:
    problems, taken, requests = list[str](), dict[str, Path](), list[Request]()
    for path, name in named:
        try:
            requests.append(Request(path, tenant_id(name), version, release))
        except BadTenantIdError as error:
            problems.append(f"{path}: {error}")
        if name in taken:
            problems.append(f"{path} and {taken[name]} would both be tenant {name!r}")
        taken[name] = path
    if problems:
        raise BadSourceError("\n".join(problems))
    return requests


def _finish(outcome: Outcome[Job], out: Path, entries: Path | None) -> Compiled | Failed:
    job = outcome.work
    tenant, version = job.request.tenant, job.request.version
    if outcome.answer is None:
        return Failed(job.request.source, tenant, outcome.failure or "no reason was given")
    manifest = Manifest.from_dict(outcome.answer["manifest"])
    bundle = out / tenant / f"{version}{BUNDLE_SUFFIX}"
    bundle.parent.mkdir(exist_ok=True)
    job.bundle.replace(bundle)
    if entries is not None:
        shutil.rmtree(entries / tenant, ignore_errors=True)
        shutil.move(job.entry, entries / tenant)
    return Compiled(manifest, bundle)
