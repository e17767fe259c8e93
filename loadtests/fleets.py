"""The fleets that demos and load tests serve: seventy merchants' fraud models, and a few on real data.

Trained fleets are kept under `.build/fleets/<key>/`, where the key is a hash of everything the models depend on.
"""

import contextlib
import functools
import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from loadtests import fraud_data, models, synthetic
from loadtests.models import ModelSpec, Reference, Spec
from tools.catalog.tenant import TenantId

FLEETS_FOLDER = Path(".build/fleets")
WHALES, MIDDLE, OCCASIONAL = 5, 50, 15


@dataclass(frozen=True, slots=True)
class FraudTenants:
    """The merchants by how often they call."""

    whales: tuple[TenantId, ...]
    middle: tuple[TenantId, ...]
    occasional: tuple[TenantId, ...]


@dataclass(frozen=True, slots=True)
class Fleet:
    """A trained fleet: one `<tenant>.ubj` a model in `models`, and XGBoost's own answers."""

    models: Path
    references: dict[TenantId, Reference]

    def model(self, tenant: TenantId) -> Path:
        return self.models / f"{tenant}.ubj"


def merchant(number: int) -> TenantId:
    """The name of merchant `number`, from 1 on."""
    return TenantId(f"merchant-{number:03}")


def fraud_tenants(whales: int = WHALES, middle: int = MIDDLE, occasional: int = OCCASIONAL) -> FraudTenants:
    """The merchants in order: the whales first, the occasional last."""
    names = tuple(merchant(number) for number in range(1, whales + middle + occasional + 1))
    return FraudTenants(names[:whales], names[whales : whales + middle], names[whales + middle :])


def fraud_specs(tenants: FraudTenants) -> list[ModelSpec]:
    """How each merchant's model is trained: who sells more has more history and a larger model."""
    specs = [ModelSpec(name, trees=300, depth=7, seed=seed, rows=20_000) for seed, name in enumerate(tenants.whales)]
    for seed, name in enumerate(tenants.middle, start=100):
        size = seed % 5
        specs.append(
            ModelSpec(
                name,
                trees=80 + 30 * size,
                depth=5 + size % 2,
                seed=seed,
                rows=4_000 + 2_000 * size,
                early_stopping=seed % 10 == 3,
            )
        )
    for seed, name in enumerate(tenants.occasional, start=200):
        specs.append(ModelSpec(name, trees=40 + 10 * (seed % 4), depth=4, seed=seed, rows=2_000))
    return specs


def newcomer_spec() -> ModelSpec:
    """A merchant who joins after everybody else."""
    return ModelSpec(merchant(WHALES + MIDDLE + OCCASIONAL + 1), trees=120, depth=5, seed=999, rows=6_000)


def real_data_specs() -> list[ModelSpec]:
    """Models on data that scikit-learn ships: two classes, three, ten, and a regression."""
    return [
        ModelSpec(TenantId("breast-cancer"), trees=120, depth=4, seed=1, source="breast-cancer"),
        ModelSpec(TenantId("wine"), trees=60, depth=3, seed=2, source="wine"),
        ModelSpec(TenantId("digits"), trees=30, depth=4, seed=3, source="digits"),
        ModelSpec(TenantId("diabetes"), trees=100, depth=3, seed=4, source="diabetes"),
    ]


def train_fleet(
    specs: Sequence[Spec],
    folder: Path = FLEETS_FOLDER,
    on_trained: Callable[[TenantId], None] = lambda tenant: None,
) -> Fleet:
    """Train what is not yet in `folder`, one process a core, and return the fleet.

    `on_trained` is called once a model, as each is ready.
    """
    home = folder / fleet_key(specs)
    (home / "models").mkdir(parents=True, exist_ok=True)
    (home / "references").mkdir(exist_ok=True)
    missing = [spec for spec in specs if not _reference_path(home, spec.tenant).is_file()]
    for spec in specs:
        if spec not in missing:
            on_trained(spec.tenant)
    for tenant in _train_all(missing, home):
        on_trained(tenant)
    return Fleet(home / "models", {spec.tenant: _read_reference(home, spec.tenant) for spec in specs})


def is_trained(specs: Sequence[Spec], folder: Path = FLEETS_FOLDER) -> bool:
    """Whether `folder` has the whole fleet."""
    home = folder / fleet_key(specs)
    return all(_reference_path(home, spec.tenant).is_file() for spec in specs)


def fleet_key(specs: Sequence[Spec]) -> str:
    """A hash of the specs, of the code that trains, and of XGBoost's version."""
    digest = hashlib.sha256(version("xgboost-cpu").encode())
    for module in (fraud_data, models, synthetic):
        assert module.__file__ is not None
        digest.update(Path(module.__file__).read_bytes())
    for spec in specs:
        digest.update(repr(spec).encode())
    return digest.hexdigest()[:16]


def _train_all(specs: Sequence[Spec], home: Path) -> Iterator[TenantId]:
    workers = min(os.cpu_count() or 1, len(specs))
    if workers <= 1:
        yield from (_train_into(home, spec) for spec in specs)
        return
    largest_first = sorted(specs, key=lambda spec: spec.effort, reverse=True)
    # Not fork: OpenMP, which XGBoost has started by now, does not survive it.
    with _interrupts_blocked():
        pool = multiprocessing.get_context("spawn").Pool(workers)
    with pool:
        yield from pool.imap_unordered(functools.partial(_train_into, home), largest_first)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes started meanwhile never hear a terminal's Ctrl-C, which goes to all: their parent stops them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _train_into(home: Path, spec: Spec) -> TenantId:
    trained = spec.make()
    _write(home / "models" / f"{spec.tenant}.ubj", trained.ubj)
    reference = _reference_path(home, spec.tenant)
    with reference.with_suffix(".part").open("wb") as file:
        np.savez(file, rows=trained.reference.rows, answers=trained.reference.answers)
    # Last, because its presence says that the model is there too.
    reference.with_suffix(".part").rename(reference)
    return spec.tenant


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.rename(path)


def _read_reference(home: Path, tenant: TenantId) -> Reference:
    with np.load(_reference_path(home, tenant)) as arrays:
        return Reference(rows=arrays["rows"], answers=arrays["answers"])


def _reference_path(home: Path, tenant: TenantId) -> Path:
    return home / "references" / f"{tenant}.npz"
