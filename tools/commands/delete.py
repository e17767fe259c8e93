"""`orchard delete`."""

from typing import Annotated

import typer

from tools.catalog.store import DEFAULT_STORE
from tools.catalog.tenant import tenant_id
from tools.commands.store import EndpointOption, StoreOption, complaints, open_catalog


def delete_command(
    tenant: Annotated[str, typer.Argument(help="The tenant to remove, with all its versions.")],
    store: StoreOption = DEFAULT_STORE,
    endpoint_url: EndpointOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a tenant from the store: running nodes stop serving it."""
    with complaints("delete"):
        catalog = open_catalog(store, endpoint_url)
        chosen = tenant_id(tenant)
        if not yes:
            typer.confirm(f"Delete {chosen} and its {len(catalog.versions(chosen))} versions from {store}?", abort=True)
        catalog.delete(chosen)
        typer.echo(f"{chosen} is deleted")
