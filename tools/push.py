"""From a folder of models to live tenants: compile what has changed, publish each as it gets ready."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tools.catalog.catalog import Catalog
from tools.catalog.overview import tenant_state
from tools.catalog.parallel import as_ready
from tools.catalog.publishing import NotPublished, publish_one
from tools.catalog.tenant import TenantId
from tools.compile.batch import Compiled, Failed, compile_models
from tools.compile.children import Limits
from tools.compile.errors import RefusedError
from tools.compile.request import Request
from tools.compile.source import read_model


@dataclass(frozen=True, slots=True)
class Pushed:
    """A model that is live now."""

    source: Path
    tenant: TenantId
    version: int


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A model that was live already, compiled for the same Triton release."""

    source: Path
    tenant: TenantId


def changed_models(catalog: Catalog, requests: Sequence[Request], jobs: int) -> Iterator[Request | Unchanged | Failed]:
    """Tell the models that are live already from those to be compiled, by content; nothing is compiled.

    Raises the store's errors.
    """
    return as_ready(lambda request: _look(catalog, request), requests, jobs)


def push_models(catalog: Catalog, requests: Sequence[Request], jobs: int, limits: Limits) -> Iterator[Pushed | Failed]:
    """Compile models and make each live as soon as it is ready, `jobs` at once; a bad model fails alone.

    No bundle stays on this machine, and few are at any time. Raises the store's errors; what was pushed stays.
    """
    sources = {request.tenant: request.source for request in requests}
    with (
        tempfile.TemporaryDirectory(prefix="orchard-push-") as scratch,
        closing(compile_models(requests, Path(scratch), jobs, limits)) as compiled,
    ):
        yield from as_ready(lambda result: _publish(catalog, result, sources), compiled, jobs)


def _look(catalog: Catalog, request: Request) -> Request | Unchanged | Failed:
    try:
        sha256 = hashlib.sha256(read_model(request.source)).hexdigest()
    except (RefusedError, OSError) as error:
        return Failed(request.source, request.tenant, str(error))
    pointer = tenant_state(catalog, request.tenant).pointer
    if pointer is None:
        return request
    live = pointer.manifest
    if (live.source_sha256, live.triton_release) != (sha256, request.release):
        return request
    return Unchanged(request.source, request.tenant)


def _publish(catalog: Catalog, result: Compiled | Failed, sources: dict[TenantId, Path]) -> Pushed | Failed:
    if isinstance(result, Failed):
        return result
    tenant, version = result.manifest.tenant, result.manifest.version
    published = publish_one(catalog, result.bundle)
    result.bundle.unlink()
    if isinstance(published, NotPublished):
        return Failed(sources[tenant], tenant, published.reason)
    return Pushed(sources[tenant], tenant, version)
