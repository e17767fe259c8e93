"""From model files to live tenants, by the same code as `orchard compile` and `orchard publish`."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from loadtests.fleets import Fleet
from tools.catalog.catalog import Catalog, NoSuchTenantError
from tools.catalog.manifest import Manifest
from tools.catalog.store import NOT_CHANGED, open_store
from tools.catalog.tenant import TenantId, tenant_id
from tools.compile.batch import Failed, compile_models, new_version
from tools.compile.children import Limits
from tools.compile.config import DEFAULT_RELEASE
from tools.compile.request import Request

_LIMITS = Limits(4 << 30, 600)


class PublishingError(Exception):
    """A model was refused. The message says which, and why."""


def compile_all(
    models: Sequence[Path],
    out: Path,
    on_compiled: Callable[[], None] = lambda: None,
    triton_release: str = DEFAULT_RELEASE,
) -> list[Path]:
    """Compile and prove `<tenant>.ubj` files, one process a core; returns the bundles.

    Raises:
        PublishingError: one was refused.
    """
    version = new_version()
    requests = [Request(model, tenant_id(model.stem), version, triton_release) for model in models]
    bundles = []
    for result in compile_models(requests, out, os.cpu_count() or 1, _LIMITS):
        if isinstance(result, Failed):
            raise PublishingError(f"{result.source} was refused: {result.reason}")
        bundles.append(result.bundle)
        on_compiled()
    return bundles


def publish_all(bundles: Sequence[Path], store: str, on_published: Callable[[], None] = lambda: None) -> list[Manifest]:
    """Make each bundle the live version of its tenant."""
    catalog = Catalog(open_store(store, create=True))
    manifests = []
    for bundle in bundles:
        manifests.append(catalog.publish(bundle).pointer.manifest)
        on_published()
    return manifests


def unpublished(fleet: Fleet, store: str) -> list[TenantId]:
    """The tenants of `fleet` whose live version in `store` was not compiled from the fleet's model."""
    catalog = Catalog(open_store(store, create=True))
    return [tenant for tenant in fleet.references if _live_source(catalog, tenant) != _sha256(fleet.model(tenant))]


def _live_source(catalog: Catalog, tenant: TenantId) -> str | None:
    try:
        live = catalog.live(tenant)
    except NoSuchTenantError:
        return None
    assert live is not NOT_CHANGED, "no etag was given"
    return live.pointer.manifest.source_sha256


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
