"""Who lives on the node: tenants in groups, their models, and a store that has them all.

Thousands of tenants share a few models' trees: each tenant is published under its own name, in an entry and a bundle
of its own, but the model behind it is trained or written only once.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from loadtests.fleets import fleet_key, is_trained, train_fleet
from loadtests.models import Reference, Spec
from loadtests.publishing import compile_all
from tools.catalog.bundle import read_manifest, unpack_bundle, write_bundle
from tools.catalog.catalog import Catalog
from tools.catalog.manifest import FileDigest, Manifest
from tools.catalog.parallel import as_ready
from tools.catalog.store import open_store
from tools.catalog.tenant import TenantId

_CONFIG = "config.pbtxt"
_FOLDER = Path(".build/suites")
_JOBS = 4


@dataclass(frozen=True)
class Population:
    """Tenants by group. `specs` are the models there are; `models` names, for a tenant, the one it serves."""

    groups: Mapping[str, tuple[TenantId, ...]]
    specs: tuple[Spec, ...]
    models: Mapping[TenantId, TenantId] = field(default_factory=dict)

    @property
    def tenants(self) -> list[TenantId]:
        return [tenant for tenants in self.groups.values() for tenant in tenants]

    def model_of(self, tenant: TenantId) -> TenantId:
        """The name of the model a tenant serves: its own, unless it is said to be another's."""
        return self.models.get(tenant, tenant)

    @cached_property
    def references(self) -> Mapping[TenantId, Reference]:
        """By model: rows to ask, and what XGBoost says of them. Makes the models that have not been made."""
        return train_fleet(self.specs).references

    @property
    def is_made(self) -> bool:
        """Whether all models have been made on this machine."""
        return is_trained(self.specs)

    def reference(self, tenant: TenantId) -> Reference:
        """Rows to ask a tenant, and what XGBoost says of them."""
        return self.references[self.model_of(tenant)]

    def rows_of(self, tenant: TenantId) -> int:
        """How many rows there are to ask a tenant."""
        return len(self.reference(tenant).rows)


@dataclass(frozen=True, slots=True)
class Settled:
    """A population in a folder store: `objects/<bucket>` below `home`; and the memory each of its models needs."""

    home: Path
    resident_bytes: Mapping[TenantId, int]

    @property
    def store(self) -> Path:
        return self.home / "objects" / "models"


def settle(population: Population, say: Callable[[str], None]) -> Settled:
    """The population in a store under `.build`, made at the first use and kept."""
    home = _FOLDER / _key(population)
    sizes = home / "sizes.json"
    if not sizes.exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="new-", dir=_FOLDER) as scratch:
            made = Path(scratch)
            found = publish_population(population, str(made / "objects" / "models"), made / "work", say)
            shutil.rmtree(made / "work")
            (made / "sizes.json").write_text(json.dumps(found))
            shutil.rmtree(home, ignore_errors=True)
            made.rename(home)
            made.mkdir()
    by_model = json.loads(sizes.read_text())
    return Settled(home, {tenant: by_model[population.model_of(tenant)] for tenant in population.tenants})


def publish_population(
    population: Population, store: str, work: Path, say: Callable[[str], None]
) -> dict[TenantId, int]:
    """Publish every tenant to `store`, with `work` as scratch space; returns the resident bytes of each model."""
    say(f"making {len(population.specs)} models, and proving each against XGBoost")
    fleet = train_fleet(population.specs)
    bundles = compile_all([fleet.model(spec.tenant) for spec in population.specs], work / "bundles")
    manifests = {manifest.tenant: manifest for manifest in map(read_manifest, bundles)}
    for bundle in bundles:
        manifest = read_manifest(bundle)
        entry = work / "entries" / manifest.tenant
        entry.mkdir(parents=True)
        with bundle.open("rb") as file:
            unpack_bundle(file, entry, manifest)
    say(f"publishing {len(population.tenants):,} tenants to {store}")
    catalog = Catalog(open_store(store, create=True))

    def publish(tenant: TenantId) -> None:
        model = manifests[population.model_of(tenant)]
        folder = work / "tenants" / tenant
        catalog.publish(_rename(work / "entries" / model.tenant, model, tenant, folder))
        shutil.rmtree(folder)

    for _ in as_ready(publish, population.tenants, _JOBS):
        pass
    return {name: manifest.resident_bytes for name, manifest in manifests.items()}


def _rename(entry: Path, manifest: Manifest, tenant: TenantId, folder: Path) -> Path:
    """A bundle of the entry as it would be if the model had been compiled for `tenant`."""
    config = re.sub(r'^name: "[^"]*"', f'name: "{tenant}"', (entry / _CONFIG).read_text(), count=1).encode()
    files = tuple(
        FileDigest(_CONFIG, hashlib.sha256(config).hexdigest(), len(config)) if file.path == _CONFIG else file
        for file in manifest.files
    )
    version = str(manifest.version)
    renamed = folder / "entry"
    (renamed / version).mkdir(parents=True)
    (renamed / _CONFIG).write_bytes(config)
    for file in (entry / version).iterdir():
        os.link(file, renamed / version / file.name)
    bundle = folder / f"{version}.tar.zst"
    write_bundle(renamed, replace(manifest, tenant=tenant, files=files), bundle)
    return bundle


def twins(prefix: str, count: int, models: tuple[Spec, ...]) -> Iterator[tuple[TenantId, TenantId]]:
    """`count` tenants named `<prefix>-0001` and so on, with the model of each: they take turns."""
    for number in range(count):
        yield TenantId(f"{prefix}-{number + 1:04}"), models[number % len(models)].tenant


def _key(population: Population) -> str:
    tenants = repr([(tenant, population.model_of(tenant)) for tenant in population.tenants])
    return hashlib.sha256((fleet_key(population.specs) + tenants).encode()).hexdigest()[:16]
