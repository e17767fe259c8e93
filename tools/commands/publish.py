"""`orchard publish`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tools.catalog.publishing import NotPublished, find_bundles, publish_bundles
from tools.catalog.store import DEFAULT_STORE
from tools.commands.store import EndpointOption, StoreOption, complaints, open_catalog, progress_bar, show_failed


def publish_command(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles, or folders of them.", exists=True)],
    store: StoreOption = DEFAULT_STORE,
    endpoint_url: EndpointOption = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Bundles at once.")] = 8,
) -> None:
    """Verify bundles, upload them, and make each the live version of its tenant.

    Of several versions of a tenant, only the newest is published. Exit status 1: a bundle failed; the others are
    live. Run again to resume.
    """
    console = Console(highlight=False)
    found = find_bundles(bundles)
    failed, live, new = list(found.bad), 0, 0
    with complaints("publish"), progress_bar("publishing", console) as progress:
        bar = progress.add_task("publishing", total=len(found.bundles))
        catalog = open_catalog(store, endpoint_url, create=True)
        for result in publish_bundles(catalog, found.bundles, jobs):
            progress.advance(bar)
            if isinstance(result, NotPublished):
                failed.append(result)
            else:
                live, new = live + 1, new + result.changed
    console.print(f"{new} published to {store}" + (f", {live - new} live already" if live > new else ""))
    if found.older:
        console.print(f"{len(found.older)} left out: a newer version of the same tenant is among them")
    if failed:
        show_failed(console, [(str(result.bundle), result.reason) for result in failed])
        raise typer.Exit(1)
