"""The demo's fleet in a store of yours, to play with."""

import tempfile
from pathlib import Path

from loadtests.demo.screen import Screen
from loadtests.fleets import FLEETS_FOLDER, fraud_specs, fraud_tenants, real_data_specs, train_fleet
from loadtests.publishing import compile_all, publish_all, unpublished
from tools.compile.config import DEFAULT_RELEASE


def seed(store: str, screen: Screen, triton_release: str = DEFAULT_RELEASE, fleets: Path = FLEETS_FOLDER) -> int:
    """Train, compile and publish what `store` lacks of the fleet; returns how many tenants that was.

    Raises:
        PublishingError, CatalogError, StoreError: it could not.
    """
    specs = [*fraud_specs(fraud_tenants()), *real_data_specs()]
    with screen.step("Train with XGBoost", len(specs)) as step:
        fleet = train_fleet(specs, fleets, lambda _: step.advance())
    wanted = [fleet.model(tenant) for tenant in unpublished(fleet, store)]
    with tempfile.TemporaryDirectory() as scratch, screen.step("Compile, prove and publish", len(wanted)) as step:
        publish_all(compile_all(wanted, Path(scratch), step.advance, triton_release), store)
        step.done(f"{len(wanted)} of {len(specs)} were not in {store}")
    return len(wanted)
