"""Publishing many bundles: which files, and what came of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.catalog.bundle import BUNDLE_SUFFIX, BadBundleError, read_manifest
from tools.catalog.catalog import Catalog, CatalogError
from tools.catalog.live import LivePointer
from tools.catalog.manifest import Manifest
from tools.catalog.parallel import as_ready
from tools.catalog.tenant import TenantId


@dataclass(frozen=True, slots=True)
class Published:
    """A bundle that is live. `changed` is False if it was before."""

    bundle: Path
    pointer: LivePointer
    changed: bool


@dataclass(frozen=True, slots=True)
class NotPublished:
    """A bundle that is not, and why."""

    bundle: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The bundles to publish, the files that are none, and those left out because a newer version is among them."""

    bundles: list[Path]
    bad: list[NotPublished]
    older: list[Path]


def find_bundles(paths: Iterable[Path]) -> Found:
    """The newest bundle of every tenant among `paths`, which are bundles or folders searched for bundles.

    Only the newest, because a tenant's versions would else become live one after the other, or in any order.
    """
    newest: dict[TenantId, tuple[Manifest, Path]] = {}
    bad, older = list[NotPublished](), list[Path]()
    for path in _files(paths):
        try:
            manifest = read_manifest(path)
        except (BadBundleError, OSError) as error:
            bad.append(NotPublished(path, str(error)))
            continue
        known = newest.get(manifest.tenant)
        if known is None or known[0].version < manifest.version:
            newest[manifest.tenant] = manifest, path
        if known is not None:
            older.append(known[1] if known[0].version < manifest.version else path)
    return Found([path for _, path in newest.values()], bad, older)


def publish_bundles(catalog: Catalog, bundles: Iterable[Path], jobs: int) -> Iterator[Published | NotPublished]:
    """Publish bundles of different tenants, `jobs` at once; what came of each, as it is known.

    A bad bundle fails alone. Raises the store's errors: without a store, none would pass.
    """
    return as_ready(lambda bundle: publish_one(catalog, bundle), bundles, jobs)


def publish_one(catalog: Catalog, bundle: Path) -> Published | NotPublished:
    """Publish one bundle. Raises the store's errors only."""
    try:
        release = catalog.publish(bundle)
    except (BadBundleError, CatalogError, OSError) as error:
        return NotPublished(bundle, str(error))
    return Published(bundle, release.pointer, release.changed)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob(f"[!.]*{BUNDLE_SUFFIX}") if file.is_file())
        else:
            yield path
