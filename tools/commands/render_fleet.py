"""`orchard render-fleet`."""

from pathlib import Path
from typing import Annotated

import typer

from tools.commands.render_gateway import system_resolver
from tools.fleet.description import BadFleetError, FleetDescription, read_fleet
from tools.fleet.front import FrontSettings, marked, render_front, routed


def render_fleet_command(
    out: Annotated[Path, typer.Option(help="Folder for nginx.conf.")],
    fleet: Annotated[Path, typer.Option(help="The fleet file; its nodes are all host:port.")] = Path("fleet.yaml"),
    listen: Annotated[str, typer.Option(help="host:port for clients.")] = "0.0.0.0:8000",
    resolver: Annotated[str | None, typer.Option(help='DNS server where nodes are names, or "system".')] = None,
    folder: Annotated[Path, typer.Option(help="Where nginx may write.")] = Path("/tmp"),
    workers: Annotated[int, typer.Option(min=1, help="nginx processes.")] = 1,
    requests_per_address: Annotated[
        int, typer.Option(min=0, help="Requests under way for one client; 0 where addresses are a load balancer's.")
    ] = 1024,
) -> None:
    """Write the configuration of the front of many nodes, for an nginx (1.27.4 or newer) that something else starts.

    Exit status 2: the fleet file cannot be used.
    """
    try:
        described = read_fleet(fleet)
        front = FrontSettings(
            listen=listen,
            folder=folder,
            error_log=Path("stderr"),
            pools=_addresses(described),
            workers=workers,
            requests_per_address=requests_per_address,
            resolver=system_resolver() if resolver == "system" else resolver,
        )
    except BadFleetError as error:
        typer.echo(f"orchard render-fleet: {error}", err=True)
        raise typer.Exit(2) from None
    out.mkdir(parents=True, exist_ok=True)
    (out / "nginx.conf").write_text(render_front(marked(routed(front, described))))


def _addresses(described: FleetDescription) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, pool in described.pools.items():
        if isinstance(pool.nodes, int):
            raise BadFleetError(f"pool {name}, nodes: list them as host:port; a number is for orchard up-fleet")
        found[name] = pool.nodes
    return found
