"""`python -m loadtests.soak`: random publishes, calls, kills, floods and evictions, for half an hour."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from loadtests.scratch import scratch_folder
from loadtests.soak.run import Soak, soak


def main(
    minutes: Annotated[float, typer.Option(min=0.2, help="How long; the first half with kills.")] = 30.0,
    tenants: Annotated[int, typer.Option(min=2, help="Beside the one that is pinned.")] = 40,
    versions: Annotated[int, typer.Option(min=2, help="Of each tenant's model.")] = 5,
    output: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("reports/soak.json"),
) -> None:
    """Soak a node. Exit status 1: a promise was not kept."""
    console = Console(highlight=False)
    with console.status("starting") as status, scratch_folder("soak") as scratch:
        result = soak(scratch, minutes, tenants, versions, status.update)
    _show(console, result)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result.report(), indent=1) + "\n")
    for promise in result.broken:
        console.print(f"[bold red]Not kept:[/] {promise}")
    console.print(f"Written to {output}")
    raise typer.Exit(1 if result.broken else 0)


def _show(console: Console, result: Soak) -> None:
    tally, down = result.tally, result.disruptions
    console.print(
        f"{result.minutes:g} minutes: " + ", ".join(f"{count} {deed}" for deed, count in result.deeds.items())
    )
    console.print(
        f"{tally.calls:,} calls: {tally.right:,} right, {tally.wrong} wrong, {tally.failed} failed; excused because "
        f"something was down: {tally.excused}"
    )
    if down:
        console.print(
            f"after {len(down)} kills everybody was answered again within {max(d.seconds for d in down):.1f} s"
        )
    table = Table("part", "MB", "threads", "descriptors", box=None)
    for part, before in result.before.items():
        after = result.after[part]
        table.add_row(
            part,
            f"{before.rss / 1e6:.0f} → {after.rss / 1e6:.0f}",
            f"{before.threads} → {after.threads}",
            f"{before.descriptors} → {after.descriptors}",
        )
    console.print(table)
    for complaint in tally.complaints:
        console.print(f"  {complaint}")


if __name__ == "__main__":
    typer.run(main)
