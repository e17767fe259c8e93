"""`orchard promote` and `orchard demote`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id
from tools.fleet.description import BadFleetError
from tools.fleet.moving import MoveError, demote, promote

_Fleet = Annotated[Path, typer.Option(help="The fleet file.")]
_State = Annotated[Path, typer.Option(help="State folder of the fleet, if it runs on this machine.")]
_FLEET, _STATE = Path("fleet.yaml"), Path(".orchard")


def promote_command(
    tenant: Annotated[str, typer.Argument(help="Who gets nodes of their own.")],
    pool: Annotated[str, typer.Option(help="The pool, as the fleet file names it.")],
    fleet: _Fleet = _FLEET,
    state: _State = _STATE,
) -> None:
    """Dedicate a tenant to a pool, in the fleet file and in the running fleet, while calls arrive.

    Exit status 1: it was not moved. 2: the fleet file, or the move, makes no sense.
    """
    _run("promote", tenant, lambda checked: promote(fleet, state, checked, pool), f"is dedicated to pool {pool}")


def demote_command(
    tenant: Annotated[str, typer.Argument(help="Who lives with all the others again.")],
    fleet: _Fleet = _FLEET,
    state: _State = _STATE,
) -> None:
    """Make a dedicated or pinned tenant shared, in the fleet file and in the running fleet, while calls arrive.

    Exit status 1: it was not moved. 2: the fleet file, or the move, makes no sense.
    """
    _run("demote", tenant, lambda checked: demote(fleet, state, checked), "is shared")


def _run(verb: str, tenant: str, move: Callable[[TenantId], list[str]], done: str) -> None:
    try:
        notes = move(tenant_id(tenant))
    except (BadFleetError, BadTenantIdError) as error:
        _complain(verb, error, 2)
    except MoveError as error:
        _complain(verb, error, 1)
    else:
        typer.echo("\n".join([f"{tenant} {done}", *notes]))


def _complain(verb: str, error: Exception, status: int) -> None:
    typer.echo(f"orchard {verb}: {error}", err=True)
    raise typer.Exit(status) from None
