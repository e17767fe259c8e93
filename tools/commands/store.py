"""What the verbs that use a store have in common: its options, and how its errors are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tools.catalog.bundle import BadBundleError
from tools.catalog.catalog import Catalog, CatalogError
from tools.catalog.live import BadPointerError
from tools.catalog.store import StoreError, open_store
from tools.catalog.tenant import BadTenantIdError

StoreOption = Annotated[
    str, typer.Option("--store", envvar="ORCHARD_STORE", help="Where the bundles are: a folder, or s3://bucket/prefix.")
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        envvar="ORCHARD_S3_ENDPOINT_URL",
        help="An S3-compatible server's address. Default: as boto3 has it.",
    ),
]


def open_catalog(store: str, endpoint_url: str | None, *, create: bool = False) -> Catalog:
    """The catalog of a store; `create` makes a missing folder."""
    return Catalog(open_store(store, endpoint_url, create=create))


@contextmanager
def complaints(verb: str) -> Iterator[None]:
    """Tell an error of the catalog or the store in one line. Exit status 1, or 2 if what was asked makes no sense."""
    try:
        yield
    except BadTenantIdError as error:
        _complain(verb, error, 2)
    except (CatalogError, StoreError, BadBundleError, BadPointerError) as error:
        _complain(verb, error, 1)


def progress_bar(what: str, console: Console) -> Progress:
    """A progress bar that counts, and is gone when it is done."""
    return Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True
    )


def show_failed(console: Console, failed: list[tuple[str, str]]) -> None:
    """A table of what failed, and why."""
    table = Table("failed", "why", box=None)
    for name, reason in sorted(failed):
        table.add_row(name, reason)
    console.print(table)
    console.print(f"{len(failed)} failed", style="red")


def _complain(verb: str, error: Exception, status: int) -> None:
    typer.echo(f"orchard {verb}: {error}", err=True)
    raise typer.Exit(status) from None
