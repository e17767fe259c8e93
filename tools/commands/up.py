"""`orchard up`."""

import os
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from tools.access.certificates import certificate_of
from tools.access.errors import AccessError
from tools.access.limits import Limits, read_limits
from tools.catalog.store import DEFAULT_STORE
from tools.commands.access import ApiKeysOption, CertificateOption, KeyOption, LimitsOption
from tools.eviction.named import DEFAULT_POLICY, PolicyName
from tools.gateway import NginxMissingError
from tools.node_settings import NodeSettings
from tools.ports import PortTakenError
from tools.stack import Node, NodeRunningError
from tools.supervisor import ChildDiedError, NotReadyError, StoppedError


def up_command(
    store: Annotated[str, typer.Option(help="Where the bundles are: a folder, or s3://bucket/prefix.")] = DEFAULT_STORE,
    memory_budget: Annotated[str, typer.Option(help="Bytes of models in memory: 512MiB, 2GiB.")] = "2GiB",
    memory_limit: Annotated[
        str, typer.Option(help="Bytes that Triton may use in all, where that is less than there are.")
    ] = "",
    disk_budget: Annotated[str, typer.Option(help="Bytes of models in the repository on disk.")] = "20GiB",
    pin: Annotated[list[str] | None, typer.Option(help="A tenant to load now and never evict. Repeatable.")] = None,
    policy: Annotated[PolicyName, typer.Option(help="Who is evicted first.")] = DEFAULT_POLICY,
    warm_schedule: Annotated[
        str, typer.Option(help="When to load the tenants used most, beside at the start: a cron expression.")
    ] = "",
    host: Annotated[str, typer.Option(help="Address for clients. The admin port is always on loopback.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8001,
    admin_port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8080,
    state: Annotated[Path, typer.Option(help="Folder for logs and what the node keeps of itself.")] = Path(".orchard"),
    repository: Annotated[Path, typer.Option(help="Triton's folder: the disk tier.")] = Path("model_repository"),
    parallel_loads: Annotated[int, typer.Option(min=1, help="Models loaded at the same time.")] = 4,
    cold_queue: Annotated[int, typer.Option(min=1, help="Calls that may wait for their tenants at a time.")] = 1000,
    load_deadline: Annotated[float, typer.Option(min=1, max=3600, help="Seconds one load may take.")] = 30.0,
    workers: Annotated[int, typer.Option(min=1, help="nginx processes.")] = 1,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log every request.")] = False,
    limits: LimitsOption = None,
    api_keys: ApiKeysOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
) -> None:
    """Start a node on this machine and keep it running until Ctrl-C. A part that dies is started again.

    Exit status 0: it was told to stop. 1: a part did not come up at the start. 2: it could not be started.
    """
    try:
        bounds = read_limits(limits) if limits else Limits()
        tls = certificate_of(certificate, key)
    except AccessError as error:
        _complain(error, 2)
    settings = NodeSettings(
        store=store,
        state=state,
        repository=repository,
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        admin_port=admin_port,
        memory_budget=memory_budget,
        memory_limit=memory_limit,
        disk_budget=disk_budget,
        parallel_loads=parallel_loads,
        cold_queue=cold_queue,
        load_deadline=load_deadline,
        pinned=tuple(pin or ()),
        policy=policy,
        warm_schedule=warm_schedule,
        workers=workers,
        access_log=access_log,
        limits=bounds,
        api_keys=api_keys,
        certificate=tls,
    )
    console = Console(highlight=False)
    try:
        _run(settings, console)
    except StoppedError:
        pass
    except (ChildDiedError, NotReadyError) as error:
        _complain(error, 1)
    except (NodeRunningError, PortTakenError, NginxMissingError, AccessError) as error:
        _complain(error, 2)
    console.print("stopped")


def _run(settings: NodeSettings, console: Console) -> None:
    began = time.monotonic()
    ready = False

    def say(what: str) -> None:
        if ready:
            console.print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {what}", markup=False, soft_wrap=True)
        else:
            line.update(what)

    with console.status("starting") as line, Node(settings, say, until_signalled()) as node:
        line.stop()
        ready = True
        console.print(f"The node is ready after {time.monotonic() - began:.1f} s. Ctrl-C stops it.\n")
        console.print(_addresses(node))
        node.watch()


def _addresses(node: Node) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    table.add_row("HTTP", node.http_url, "KServe v2: POST /v2/models/<tenant>/infer")
    table.add_row("gRPC", node.grpc_address, "inference.GRPCInferenceService")
    table.add_row("admin", node.admin_url, "the status page; /models and /metrics; not for clients")
    table.add_row("store", node.settings.store, "orchard publish adds tenants")
    table.add_row("logs", os.path.relpath(node.log("triton").parent), "one file for each process")
    return table


def until_signalled() -> Callable[[], bool]:
    """From now on, whether a signal has told us to stop. No signal interrupts the stopping."""
    signals = list[int]()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: signals.append(number))
    return lambda: bool(signals)


def _complain(error: Exception, status: int) -> NoReturn:
    typer.echo(f"orchard up: {error}", err=True)
    raise typer.Exit(status) from None
