"""`orchard status`."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from tools.stack import running_addresses
from tools.status import NoAnswerError, fetch_status, render_status

_WATCH_SECONDS = 1.0


def status_command(
    state: Annotated[Path, typer.Option(help="The state folder of a node on this machine.")] = Path(".orchard"),
    admin: Annotated[str | None, typer.Option(help="host:port of a node's admin port, instead of --state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the node answers, as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing it until Ctrl-C.")] = False,
) -> None:
    """Show which tenants are in memory, the budget, and the hit ratio. Exit status 1: no node answers."""
    address = admin or admin_of(state, "status")
    try:
        if as_json:
            typer.echo(json.dumps(fetch_status(address), indent=1))
        elif watch:
            _watch(address)
        else:
            Console(highlight=False).print(render_status(fetch_status(address), time.time()))
    except NoAnswerError as error:
        typer.echo(f"orchard status: {error}", err=True)
        raise typer.Exit(1) from None


def admin_of(state: Path, verb: str) -> str:
    """The admin port of the node that runs from `state`; when none does, says so and exits."""
    addresses = running_addresses(state)
    if addresses is None:
        typer.echo(f"orchard {verb}: no node is running from {state}: start one with orchard up", err=True)
        raise typer.Exit(1)
    return addresses.admin


def _watch(address: str) -> None:
    with Live(auto_refresh=False, screen=True) as live:
        while True:
            live.update(render_status(fetch_status(address), time.time()), refresh=True)
            time.sleep(_WATCH_SECONDS)
