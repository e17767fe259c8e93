"""`orchard doctor`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.catalog.store import DEFAULT_STORE
from tools.doctor.checks import Finding, Level, check
from tools.doctor.look import gather
from tools.node_settings import NodeSettings
from tools.plan.read import BadTrafficError

_STYLES = {Level.FINE: "green", Level.NOTE: "yellow", Level.WRONG: "red"}


def doctor_command(
    store: Annotated[str, typer.Option(help="Where the bundles are: a folder, or s3://bucket/prefix.")] = DEFAULT_STORE,
    memory_budget: Annotated[str, typer.Option(help="Bytes of models in memory: 512MiB, 2GiB.")] = "2GiB",
    disk_budget: Annotated[str, typer.Option(help="Bytes of models in the repository on disk.")] = "20GiB",
    host: Annotated[str, typer.Option(help="Address for clients.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535)] = 8001,
    admin_port: Annotated[int, typer.Option(min=0, max=65535)] = 8080,
    state: Annotated[Path, typer.Option(help="The node's state folder.")] = Path(".orchard"),
    repository: Annotated[Path, typer.Option(help="Triton's folder: the disk tier.")] = Path("model_repository"),
) -> None:
    """Say what is wrong with a node, and what to do about it. Changes nothing.

    With a node running from the state folder, its own settings are checked; otherwise these, which are those of
    `orchard up`. Exit status 1: something is wrong.
    """
    settings = NodeSettings(
        store=store,
        state=state,
        repository=repository,
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        admin_port=admin_port,
        memory_budget=memory_budget,
        disk_budget=disk_budget,
    )
    try:
        findings = check(gather(settings))
    except BadTrafficError as error:
        raise typer.BadParameter(str(error)) from None
    _show(findings)
    if any(finding.level is Level.WRONG for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False)
    for finding in findings:
        table.add_row(Text(finding.level.value, _STYLES[finding.level]), finding.subject, Text(finding.text))
    console = Console(highlight=False)
    console.print(table)
    wrong = sum(finding.level is Level.WRONG for finding in findings)
    console.print(f"\n{wrong} {'thing is' if wrong == 1 else 'things are'} wrong" if wrong else "\nnothing is wrong")
