"""`python -m loadtests.seed`: publish the demo's fleet to a store, unless it is there."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.fleets import FLEETS_FOLDER, fraud_specs, fraud_tenants, real_data_specs, train_fleet
from loadtests.publishing import PublishingError, compile_all, publish_all, unpublished
from loadtests.screen import Screen
from tools.catalog.catalog import CatalogError
from tools.catalog.store import DEFAULT_STORE, StoreError


def seed(store: str, screen: Screen, fleets: Path = FLEETS_FOLDER) -> int:
    """Train, compile and publish what `store` lacks of the fleet; returns how many tenants that was.

    Raises:
        PublishingError, CatalogError, StoreError: it could not.
    """
    specs = [*fraud_specs(fraud_tenants()), *real_data_specs()]
    with screen.step("Train with XGBoost", len(specs)) as step:
        fleet = train_fleet(specs, fleets, lambda _: step.advance())
    wanted = [fleet.model(tenant) for tenant in unpublished(fleet, store)]
    with tempfile.TemporaryDirectory() as scratch, screen.step("Compile, prove and publish", len(wanted)) as step:
        publish_all(compile_all(wanted, Path(scratch), step.advance), store)
        step.done(f"{len(wanted)} of {len(specs)} were not in {store}")
    return len(wanted)


def main(store: Annotated[str, typer.Option(help="A folder, or s3://bucket/prefix.")] = DEFAULT_STORE) -> None:
    """Publish 70 merchants' fraud models and four models on real data to a store, unless they are there."""
    console = Console()
    try:
        seed(store, Screen(console, steps=2))
    except (PublishingError, CatalogError, StoreError) as error:
        console.print(f"[bold red]Seeding failed:[/] {error}", highlight=False)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
