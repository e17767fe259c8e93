"""`orchard delete`."""

from typing import Annotated

import typer

from tools.catalog.store import DEFAULT_STORE
from tools.catalog.tenant import tenant_id
from tools.commands.store import EndpointOption, StoreOption, complaints, open_catalog


def delete_command(
    tenant: Annotated[str, typer.Argument(help="The tenant to remove, with all its versions and its drop-in archive.")],
    store: StoreOption = DEFAULT_STORE,
    endpoint_url: EndpointOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a tenant from the store: running nodes stop serving it."""
    with complaints("delete"):
        catalog = open_catalog(store, endpoint_url)
        chosen = tenant_id(tenant)
        if not yes:
            archive = " and its drop-in archive" if catalog.has_drop_in(chosen) else ""
            versions = len(catalog.versions(chosen))
            typer.confirm(f"Delete {chosen} with its {versions} versions{archive} from {store}?", abort=True)
        catalog.delete(chosen)
        typer.echo(f"{chosen} is deleted")
