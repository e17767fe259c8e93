"""`python -m loadtests.plan_check`: forecasts of `orchard plan` beside what a node then does."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtests.fleets import train_fleet
from loadtests.plan_check.check import Outcome, Restart, check, check_restart, prepare, specs, traces
from loadtests.scratch import scratch_folder
from tools.eviction.named import DEFAULT_POLICY, PolicyName

TENANTS = 200
CALLS = 4_500
SHARES = (0.08, 0.15, 0.30)
# Where LRU is set beside the default.
COMPARED_SHARE = 0.15
RESTART_CALLS = 1_000


def main(output: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("reports/plan.json")) -> None:
    """Foretell the hit ratio of three traces at three budgets, and measure it; then restart a node."""
    console = Console()
    with Progress(console=console, transient=True) as progress, scratch_folder("plan-check") as folder:
        making = progress.add_task("making and publishing models", total=2 * TENANTS)
        fleet = train_fleet(specs(TENANTS), on_trained=lambda _: progress.advance(making))
        stage = prepare(fleet, folder, lambda: progress.advance(making))
        by_name = {name: stage.with_sizes(trace) for name, trace in traces(TENANTS, CALLS).items()}
        asked = [(name, share, DEFAULT_POLICY) for name in by_name for share in SHARES]
        asked += [(name, COMPARED_SHARE, PolicyName.LRU) for name in by_name]
        outcomes = []
        for name, share, policy in progress.track(asked, description="calling nodes"):
            outcomes.append(check(stage, name, by_name[name], share, policy, CALLS // 3))
        restarts = {
            name: check_restart(stage, by_name[name], COMPARED_SHARE, DEFAULT_POLICY, RESTART_CALLS)
            for name in progress.track(("independent", "sessions"), description="restarting nodes")
        }
    console.print(_outcomes(outcomes))
    console.print(_restarts(restarts))
    output.parent.mkdir(parents=True, exist_ok=True)
    report = {"outcomes": [asdict(each) for each in outcomes], "restarts": {k: asdict(v) for k, v in restarts.items()}}
    output.write_text(json.dumps(report, indent=1) + "\n")


def _outcomes(outcomes: list[Outcome]) -> Table:
    table = Table("trace", "policy", box=None, title="hit ratio: replay, and node", title_justify="left")
    for heading in ("budget, MB", "foretold", "measured", "off by"):
        table.add_column(heading, justify="right")
    for each in outcomes:
        figures = (f"{each.budget / 1e6:.0f}", f"{each.foretold:.3f}", f"{each.measured:.3f}", f"{each.error:.3f}")
        table.add_row(each.trace, each.policy, *figures)
    return table


def _restarts(restarts: dict[str, Restart]) -> Table:
    title = f"hit ratio of {RESTART_CALLS:,} calls before and after a restart"
    table = Table("trace", box=None, title=title, title_justify="left")
    for heading in ("before", "after", "without a restart", "loaded", "seconds"):
        table.add_column(heading, justify="right")
    for name, each in restarts.items():
        ratios = (f"{each.before:.3f}", f"{each.after:.3f}", f"{each.unbroken:.3f}")
        table.add_row(name, *ratios, str(each.loaded), f"{each.seconds:.1f}")
    return table


if __name__ == "__main__":
    typer.run(main)
