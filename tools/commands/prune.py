"""`orchard prune`."""

from typing import Annotated

import typer
from rich.console import Console

from tools.catalog.catalog import Catalog, CatalogError
from tools.catalog.live import BadPointerError
from tools.catalog.parallel import as_ready
from tools.catalog.store import DEFAULT_STORE
from tools.catalog.tenant import TenantId, tenant_id
from tools.commands.store import EndpointOption, StoreOption, complaints, open_catalog, progress_bar, show_failed

_JOBS = 16


def prune_command(
    keep: Annotated[int, typer.Option(min=1, help="Versions to keep of each tenant; the live one always is.")],
    tenants: Annotated[list[str] | None, typer.Argument(help="Only these tenants. Default: all.")] = None,
    store: StoreOption = DEFAULT_STORE,
    endpoint_url: EndpointOption = None,
) -> None:
    """Delete old versions. Exit status 1: a tenant failed; the others are pruned."""
    console = Console(highlight=False)
    deleted, failed = 0, list[tuple[str, str]]()
    with complaints("prune"), progress_bar("pruning", console) as progress:
        catalog = open_catalog(store, endpoint_url)
        chosen = [tenant_id(tenant) for tenant in tenants] if tenants else list(catalog.tenants())
        bar = progress.add_task("pruning", total=len(chosen))
        for tenant, result in as_ready(lambda tenant: (tenant, _prune(catalog, tenant, keep)), chosen, _JOBS):
            progress.advance(bar)
            if isinstance(result, str):
                failed.append((tenant, result))
            else:
                deleted += result
    console.print(f"{deleted} old versions deleted")
    if failed:
        show_failed(console, failed)
        raise typer.Exit(1)


def _prune(catalog: Catalog, tenant: TenantId, keep: int) -> int | str:
    """How many versions were deleted, or why none could be."""
    try:
        return len(catalog.prune(tenant, keep))
    except (CatalogError, BadPointerError) as error:
        return str(error)
