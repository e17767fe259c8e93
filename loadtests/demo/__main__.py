"""`python -m loadtests.demo`: the main job, in front of your eyes."""

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from loadtests.admin import AdminError
from loadtests.demo.run import Demo, DemoSettings
from loadtests.demo.screen import Screen, results_table, verdict
from loadtests.fleets import fraud_tenants
from loadtests.publishing import PublishingError
from loadtests.scratch import scratch_folder
from tools.gateway import NginxMissingError
from tools.supervisor import ChildDiedError, NotReadyError

STEPS = 5


def main(
    requests: Annotated[int, typer.Option(min=100, help="How many requests to make, at least.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Another seed gives other traffic.")] = 1,
    resident: Annotated[int, typer.Option(min=1, help="How many tenants the memory budget is to hold.")] = 25,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the run's folder: store, logs, repository.")] = False,
) -> None:
    """Train 70 merchants' fraud models, serve them from room for 25, and check every answer against XGBoost."""
    console = Console()
    settings = DemoSettings(fraud_tenants(), requests, seed, resident)
    started = time.monotonic()
    try:
        with scratch_folder("demo", keep) as scratch:
            if keep:
                console.print(f"This run's folder: {scratch}", highlight=False)
            result = Demo(settings, Screen(console, STEPS), scratch).run()
    except (PublishingError, AdminError, NginxMissingError, ChildDiedError, NotReadyError) as error:
        console.print(f"[bold red]The demo stopped:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("Stopped; everything it started is gone.")
        raise typer.Exit(130) from None
    console.print(results_table(result.summary, result.status["evictions"], result.status["loads"]))
    for complaint in result.summary.complaints:
        console.print(f"  {complaint}", markup=False, highlight=False)
    console.print(verdict(result.summary), f"[dim]{time.monotonic() - started:.0f} s in all[/]", highlight=False)
    raise typer.Exit(0 if result.summary.passed else 1)


if __name__ == "__main__":
    typer.run(main)
