"""`orchard rollback`."""

from typing import Annotated

import typer

from tools.catalog.store import DEFAULT_STORE
from tools.catalog.tenant import tenant_id
from tools.commands.store import EndpointOption, StoreOption, complaints, open_catalog


def rollback_command(
    tenant: Annotated[str, typer.Argument(help="Whose live version to change.")],
    to: Annotated[
        int | None, typer.Option(min=1, max=2**63 - 1, help="Default: the newest version older than the live one.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    endpoint_url: EndpointOption = None,
) -> None:
    """Make an older version of a tenant live again."""
    with complaints("rollback"):
        pointer = open_catalog(store, endpoint_url).rollback(tenant_id(tenant), to)
        typer.echo(f"version {pointer.version} of {tenant} is live")
