"""`orchard push-folder`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tools.catalog.catalog import Catalog
from tools.catalog.store import DEFAULT_STORE
from tools.commands.store import EndpointOption, StoreOption, complaints, open_catalog, progress_bar, show_failed
from tools.compile.batch import BadSourceError, Failed, find_requests, new_version
from tools.compile.children import Limits
from tools.compile.config import DEFAULT_RELEASE, BadReleaseError, parse_release
from tools.compile.request import Request
from tools.push import Unchanged, changed_models, push_models

_LOOKS_AT_ONCE = 8


def push_folder_command(
    folder: Annotated[Path, typer.Argument(help="Models, one a tenant: m37.ubj is tenant m37.", file_okay=False)],
    store: StoreOption = DEFAULT_STORE,
    endpoint_url: EndpointOption = None,
    triton_release: Annotated[str, typer.Option(help="Triton release to serve on.")] = DEFAULT_RELEASE,
    jobs: Annotated[int | None, typer.Option(min=1, help="Models at once. Default: the CPUs.")] = None,
    memory: Annotated[int, typer.Option(min=1, help="GiB of memory one model may take.")] = 4,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds one model may take.")] = 600,
) -> None:
    """Compile a folder of models and publish each as it gets ready. Models that are live already are skipped.

    Exit status 1: a model failed; the others are live. 2: nothing was done. Run again to resume.
    """
    try:
        parse_release(triton_release)
        requests = find_requests(folder, None, new_version(), triton_release)
    except (BadReleaseError, BadSourceError) as error:
        typer.echo(f"orchard push-folder: {error}", err=True)
        raise typer.Exit(2) from None
    console = Console(highlight=False)
    with complaints("push-folder"):
        catalog = open_catalog(store, endpoint_url, create=True)
        changed, unchanged, failed = _look(catalog, requests, console)
        pushed = 0
        with progress_bar("pushing", console) as progress:
            bar = progress.add_task("pushing", total=len(changed))
            for result in push_models(catalog, changed, jobs or os.cpu_count() or 1, Limits(memory << 30, seconds)):
                progress.advance(bar)
                if isinstance(result, Failed):
                    failed.append(result)
                else:
                    pushed += 1
    console.print(f"{pushed} published to {store}, {unchanged} unchanged")
    if failed:
        show_failed(console, [(str(result.source), result.reason) for result in failed])
        raise typer.Exit(1)


def _look(catalog: Catalog, requests: list[Request], console: Console) -> tuple[list[Request], int, list[Failed]]:
    changed, unchanged, failed = list[Request](), 0, list[Failed]()
    with progress_bar("comparing", console) as progress:
        bar = progress.add_task("comparing", total=len(requests))
        for result in changed_models(catalog, requests, _LOOKS_AT_ONCE):
            progress.advance(bar)
            if isinstance(result, Request):
                changed.append(result)
            elif isinstance(result, Unchanged):
                unchanged += 1
            else:
                failed.append(result)
    return changed, unchanged, failed
