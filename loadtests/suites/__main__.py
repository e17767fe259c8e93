"""`python -m loadtests.suites SUITE`: one suite, on a node it starts or on any other, and its verdict."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from loadtests.publishing import PublishingError
from loadtests.s3 import S3MissingError
from loadtests.scratch import scratch_folder
from loadtests.suites.node import node_on
from loadtests.suites.population import publish_population, settle
from loadtests.suites.suite import SUITES, Suite, suite_named
from tools.catalog.catalog import CatalogError
from tools.catalog.store import StoreError
from tools.gateway import NginxMissingError
from tools.supervisor import ChildDiedError, NotReadyError

_LOCUSTFILE = Path(__file__).with_name("locustfile.py")
_HINDRANCES = (
    PublishingError,
    CatalogError,
    StoreError,
    S3MissingError,
    NginxMissingError,
    ChildDiedError,
    NotReadyError,
)
_USERS = 64
_STOP_SECONDS = 10

app = typer.Typer(add_completion=False)
console = Console(highlight=False)


@app.command()
def main(
    suite: Annotated[str, typer.Argument(help=f"One of {', '.join(SUITES)}.")],
    host: Annotated[
        str, typer.Option(help="http://host:port of a node that has the tenants; else one is started.")
    ] = "",
    rate: Annotated[float, typer.Option(help="Calls a second; 0: what the suite says.")] = 0.0,
    seconds: Annotated[float, typer.Option(help="How long; 0: what the suite says.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Another seed gives other traffic.")] = 1,
    api: Annotated[str, typer.Option(help="kserve or sagemaker.")] = "kserve",
    short: Annotated[bool, typer.Option("--short", help="Fewer tenants, smaller models.")] = False,
    slack: Annotated[float, typer.Option(help="Multiplies the promised times.")] = 1.0,
    workers: Annotated[int, typer.Option(min=1, help="Locust processes that share the load.")] = 1,
    web: Annotated[bool, typer.Option("--web", help="Locust's web page instead of a run by itself.")] = False,
    report: Annotated[Path, typer.Option(help="Folder for <suite>.html and <suite>.json.")] = Path("reports"),
    prepare: Annotated[bool, typer.Option("--prepare", help="Only make the models, as each worker needs.")] = False,
    publish: Annotated[str, typer.Option(help="Only publish the suite's tenants to this store.")] = "",
) -> None:
    """Run one suite. Exit status 0: every promise was kept. 1: one was broken. 2: it could not be run."""
    if suite not in SUITES:
        raise typer.BadParameter(f"{suite!r} is none of {', '.join(SUITES)}")
    chosen = suite_named(suite)
    options = [
        "--suite",
        suite,
        "--rate",
        rate or chosen.rate,
        "--seconds",
        seconds or chosen.seconds,
        "--seed",
        seed,
        "--api",
        api,
    ]
    options += ["--slack", slack, "--report", report, *(["--short"] if short else [])]
    try:
        if publish:
            _publish(chosen, short, publish)
            return
        chosen.populate(short).references  # noqa: B018 - made here, where processes may be started; Locust only reads
        if prepare:
            return
        with ExitStack() as stack:
            url = host.rstrip("/") or _start(stack, chosen, short)
            status = _locust(url, options, workers, web)
    except _HINDRANCES as error:
        console.print(f"[bold red]The suite could not be run:[/] {error}")
        raise typer.Exit(2) from None
    raise typer.Exit(status)


def _locust(url: str, options: list[Any], workers: int, web: bool) -> int:
    """Run Locust; returns its exit status."""
    command = [sys.executable, "-m", "locust", "-f", _LOCUSTFILE, "--host", url]
    command += ["-u", _USERS, "-r", _USERS, "--stop-timeout", _STOP_SECONDS]
    command += ["--loglevel", "WARNING", *options]
    command += ["--autostart"] if web else ["--headless", "--only-summary"]
    command += ["--processes", workers, "--parts", workers] if workers > 1 else []
    return subprocess.run([str(word) for word in command], check=False).returncode


def _start(stack: ExitStack, suite: Suite, short: bool) -> str:
    """Start a node for the suite, until `stack` is left; its public URL."""
    population = suite.populate(short)
    settled = settle(population, console.print)
    budgets = suite.budgets(population, settled)
    scratch = stack.enter_context(scratch_folder(suite.name))
    node = stack.enter_context(node_on(settled.store, budgets, scratch, suite.on_s3))
    tenants = f"{len(population.tenants):,} tenants, {budgets.memory / 1e6:,.0f} MB of memory for models"
    console.print(f"a node at {node.http_url}, its status page at {node.admin_url}, {tenants}", soft_wrap=True)
    return node.http_url


def _publish(suite: Suite, short: bool, store: str) -> None:
    with scratch_folder("publish") as scratch:
        publish_population(suite.populate(short), store, scratch, console.print)


if __name__ == "__main__":
    app()
