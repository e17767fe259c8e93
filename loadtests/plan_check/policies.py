"""`python -m loadtests.plan_check.policies`: every eviction policy on the churn mix, simulated."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tools.plan.curve import Curve, Latency, measure
from tools.plan.plan import policies_to_compare
from tools.plan.trace import CHURN, Trace, independent, joined, sessions

PLACES = (100, 500, 700, 1_000)
MB = 1_000_000
# Times are not what is compared here.
_NO_LATENCY = Latency(1, 1, 1)


def churn_traces(calls: int) -> dict[str, Trace]:
    """4,000 equal models: calls independent, in sessions, in more sessions at once, and first one way then another."""
    apart, together = independent(CHURN, calls, 1), sessions(CHURN, calls, 2)
    return {
        "independent": apart,
        "sessions, 40 open": together,
        "sessions, 160 open": sessions(CHURN, calls, 3, at_once=160),
        "independent, then sessions": joined(apart, together),
        "sessions, then independent": joined(together, apart),
        "other tenants busy from halfway": joined(apart, _shuffled(independent(CHURN, calls, 4))),
    }


def mixed_sizes(calls: int) -> dict[str, Trace]:
    """The same with models of 1 to 45 MB, most of them small, whoever is busy."""
    return {name: _with_mixed_sizes(trace) for name, trace in list(churn_traces(calls).items())[:2]}


def main(
    calls: Annotated[int, typer.Option(help="Calls in a trace, or in each half of one.")] = 80_000,
    jobs: Annotated[int, typer.Option(help="Replays at a time.")] = 2,
    output: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("reports/policies.json"),
) -> None:
    """Replay each trace under each policy; the first third of a trace does not count."""
    console = Console()
    equal, mixed = churn_traces(calls), mixed_sizes(calls)
    policies = policies_to_compare()
    report = {}
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("replaying", total=(len(equal) + len(mixed)) * len(PLACES) * len(policies))
        for name, trace in {**equal, **{f"{name}, 1 to 45 MB": trace for name, trace in mixed.items()}}.items():
            mean = int(trace.sizes.mean())
            memories = [mean * places for places in PLACES]
            curves = measure(trace, policies, memories, _NO_LATENCY, jobs, lambda: progress.advance(bar))
            console.print(_table(name, curves, by_bytes=mean > 1))
            report[name] = {policy: [asdict(point) for point in curve.points] for policy, curve in curves.items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")


def _table(name: str, curves: dict[str, Curve], by_bytes: bool) -> Table:
    table = Table("policy", box=None, title=name, title_justify="left")
    for places in PLACES:
        table.add_column(f"{places:,}", justify="right")
    for policy, curve in curves.items():
        cells = [
            f"{point.hit_ratio:.3f}" + (f" ({point.byte_hit_ratio:.3f} by bytes)" if by_bytes else "")
            for point in curve.points
        ]
        table.add_row(policy, *cells)
    return table


def _shuffled(trace: Trace) -> Trace:
    return replace(trace, calls=np.random.default_rng(5).permutation(len(trace.tenants))[trace.calls])


def _with_mixed_sizes(trace: Trace) -> Trace:
    sizes = np.exp(np.random.default_rng(6).uniform(np.log(1 * MB), np.log(45 * MB), len(trace.tenants)))
    return replace(trace, sizes=sizes.astype(np.int64))


if __name__ == "__main__":
    typer.run(main)
