"""`python -m loadtests.bench`: what a node costs beside Triton alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from loadtests.admin import AdminError
from loadtests.bench.figures import Figure
from loadtests.bench.report import Report
from loadtests.bench.setting import BenchError, Pace, prepared
from loadtests.bench.suite import MEASUREMENTS
from loadtests.bench.wrk import WrkError, require_wrk
from loadtests.fleets import FLEETS_FOLDER
from loadtests.kserve import CallFailedError
from loadtests.publishing import PublishingError
from loadtests.scratch import scratch_folder
from tools.gateway import NginxMissingError
from tools.supervisor import ChildDiedError, NotReadyError

# Many short rounds: whatever else the machine does then falls on both sides of a ratio.
FULL = Pace(rounds=9, seconds=2.0)
QUICK = Pace(rounds=3, seconds=1.0)
FAILURES = (
    WrkError,
    BenchError,
    CallFailedError,
    AdminError,
    PublishingError,
    NginxMissingError,
    ChildDiedError,
    NotReadyError,
)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"Measure only this; one of {', '.join(MEASUREMENTS)}.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and shorter rounds.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="How often to repeat each measurement.")] = None,
    output: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("reports/bench.json"),
) -> None:
    """Measure a node beside Triton alone: throughput, latency, processor time, cold starts, memory.

    Ends with status 0 when everything was measured and every answer was right, whether or not targets are met.
    """
    console = Console()
    names = only or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))} is not one of {', '.join(MEASUREMENTS)}")
    pace = QUICK if quick else FULL
    pace = Pace(rounds or pace.rounds, pace.seconds)
    try:
        require_wrk()
        report = _measure(console, names, pace, quick)
    except FAILURES as error:
        console.print(f"[bold red]The benchmark failed:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(1) from None
    report.write(output)
    console.print(report.table())
    console.print(_verdict(report), highlight=False)
    console.print(f"Written to {output}", highlight=False)


def _measure(console: Console, names: list[str], pace: Pace, quick: bool) -> Report:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    measured: dict[str, list[Figure]] = {}
    with (
        console.status("starting") as status,
        scratch_folder("bench") as scratch,
        prepared(FLEETS_FOLDER, scratch, pace, lambda what: status.update(what)) as bench,
    ):
        for name in names:
            measured[name] = MEASUREMENTS[name](bench)
            console.print(f"measured {name}", highlight=False)
    return Report(started, pace.rounds, quick, measured)


def _verdict(report: Report) -> str:
    if not report.missed:
        return "[green]Every target is met.[/]"
    missed = "; ".join(figure.name for figure in report.missed)
    return f"[bold red]{len(report.missed)} target(s) missed:[/] {missed}"


if __name__ == "__main__":
    typer.run(main)
