"""`orchard restart`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tools.restarts import NotRestartedError, RestartRequests
from tools.stack import is_running

_MOST_SECONDS = 60.0


class Part(StrEnum):
    """What can be restarted."""

    TRITON = "triton"
    SIDECAR = "sidecar"
    NGINX = "nginx"


def restart_command(
    part: Annotated[Part, typer.Argument(help="What to restart.")],
    state: Annotated[Path, typer.Option(help="The state folder of a node on this machine.")] = Path(".orchard"),
) -> None:
    """Restart one part of a running node, so that no HTTP call for a tenant in memory fails.

    Calls wait in the sidecar while Triton is away; nginx changes its workers and keeps its port. While the sidecar is
    away only tenants in memory are served, and not over gRPC. Exit status 1: it is not ready again.
    """
    if not is_running(state):
        typer.echo(f"orchard restart: no node is running from {state}: start one with orchard up", err=True)
        raise typer.Exit(1)
    try:
        RestartRequests(state).ask(part.value, _MOST_SECONDS)
    except NotRestartedError as error:
        typer.echo(f"orchard restart: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{part.value} is ready again")
