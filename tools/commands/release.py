"""`orchard release`."""

from pathlib import Path
from typing import Annotated

import typer

from tools.catalog.tenant import BadTenantIdError, tenant_id
from tools.commands.status import admin_of
from tools.status import NoAnswerError, RefusedError, release


def release_command(
    tenant: Annotated[str, typer.Argument(help="A quarantined tenant.")],
    state: Annotated[Path, typer.Option(help="The state folder of a node on this machine.")] = Path(".orchard"),
    admin: Annotated[str | None, typer.Option(help="host:port of a node's admin port, instead of --state.")] = None,
) -> None:
    """Have a tenant loaded again whose load has ended Triton twice. A new version of it does the same.

    Exit status 1: it is not quarantined, or no node answers. 2: it is no tenant id.
    """
    try:
        release(admin or admin_of(state, "release"), tenant_id(tenant))
    except BadTenantIdError as error:
        raise typer.BadParameter(str(error)) from None
    except (NoAnswerError, RefusedError) as error:
        typer.echo(f"orchard release: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{tenant} is loaded at its next call")
