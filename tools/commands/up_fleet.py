"""`orchard up-fleet`."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tools.access.errors import AccessError
from tools.catalog.store import DEFAULT_STORE
from tools.commands.access import ApiKeysOption
from tools.commands.up import until_signalled
from tools.fleet.description import BadFleetError, FleetDescription, read_fleet
from tools.fleet.front import FrontRefusedError
from tools.fleet.running import Fleet
from tools.gateway import NginxMissingError
from tools.node_settings import NodeSettings
from tools.ports import PortTakenError
from tools.stack import NodeRunningError
from tools.supervisor import ChildDiedError, NotReadyError, StoppedError


def up_fleet_command(
    fleet: Annotated[Path, typer.Argument(help="The fleet file: pools, and who lives where.")] = Path("fleet.yaml"),
    store: Annotated[str, typer.Option(help="Where the bundles are: a folder, or s3://bucket/prefix.")] = DEFAULT_STORE,
    disk_budget: Annotated[str, typer.Option(help="Bytes of models on disk, for each node.")] = "20GiB",
    host: Annotated[str, typer.Option(help="Address for clients.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    state: Annotated[Path, typer.Option(help="Folder for logs and what the fleet keeps of itself.")] = Path(".orchard"),
    repository: Annotated[Path, typer.Option(help="The nodes' disk tiers.")] = Path("model_repository"),
    workers: Annotated[int, typer.Option(min=1, help="nginx processes of each front.")] = 1,
    api_keys: ApiKeysOption = None,
) -> None:
    """Start the nodes of a fleet file on this machine, and a front that knows who lives where, until Ctrl-C.

    A part that dies is started again; its node's tenants are served by others meanwhile. Exit status 0: it was told
    to stop. 1: a part did not come up at the start. 2: it could not be started.
    """
    console = Console(highlight=False)
    settings = NodeSettings(
        api_keys=api_keys,
        store=store,
        state=state,
        repository=repository,
        host=host,
        http_port=http_port,
        disk_budget=disk_budget,
        workers=workers,
    )
    try:
        _run(read_fleet(fleet), settings, console)
    except StoppedError:
        pass
    except (ChildDiedError, NotReadyError, FrontRefusedError) as error:
        _complain(error, 1)
    except (BadFleetError, NodeRunningError, PortTakenError, NginxMissingError, AccessError) as error:
        _complain(error, 2)
    console.print("stopped")


def _run(described: FleetDescription, settings: NodeSettings, console: Console) -> None:
    began = time.monotonic()
    with Fleet(described, settings, console.print, until_signalled()) as fleet:
        console.print(
            f"The fleet is ready after {time.monotonic() - began:.1f} s at {fleet.http_url}. Ctrl-C stops it."
        )
        fleet.watch()


def _complain(error: Exception, status: int) -> None:
    typer.echo(f"orchard up-fleet: {error}", err=True)
    raise typer.Exit(status) from None
