"""`python -m loadtests.seed`: publish the demo's fleet to a store, unless it is there."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from loadtests.demo.screen import Screen
from loadtests.publishing import PublishingError
from loadtests.seed import seed
from tools.catalog.catalog import CatalogError
from tools.catalog.store import DEFAULT_STORE, StoreError
from tools.compile.config import DEFAULT_RELEASE, BadReleaseError, parse_release


def main(
    store: Annotated[str, typer.Option(help="A folder, or s3://bucket/prefix.")] = DEFAULT_STORE,
    triton_release: Annotated[str, typer.Option(help="Triton release to serve on.")] = DEFAULT_RELEASE,
) -> None:
    """Publish 70 merchants' fraud models and four models on real data to a store, unless they are there."""
    console = Console()
    try:
        parse_release(triton_release)
        seed(store, Screen(console, steps=2), triton_release)
    except (BadReleaseError, PublishingError, CatalogError, StoreError) as error:
        console.print(f"[bold red]Seeding failed:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
