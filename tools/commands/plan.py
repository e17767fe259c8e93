"""`orchard plan`."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tools.catalog.overview import tenant_states
from tools.catalog.tenant import TenantId
from tools.commands.store import complaints, open_catalog, progress_bar
from tools.eviction.named import DEFAULT_POLICY, PolicyName
from tools.plan import che
from tools.plan.chart import chart
from tools.plan.curve import budgets
from tools.plan.plan import Asked, Target, make_plan, policies_to_compare, steps
from tools.plan.prices import BadPricesError, read_prices
from tools.plan.read import BadTrafficError, is_class, parse_class, parse_size, read_calls, read_sizes
from tools.plan.report import render
from tools.plan.trace import TenantClass, Trace, class_sizes, independent, rates, sessions

_STORE_JOBS = 16


def plan_command(
    traffic: Annotated[
        list[str],
        typer.Argument(
            help="A CSV of calls (time,tenant[,bytes]), a node's access log, or classes: 500:60% 1500:25% 2000:15%, "
            "each with a size of its own if need be: 5:80%:45MB."
        ),
    ],
    size: Annotated[str, typer.Option(help="Checkpoint size of models that nothing else gives one.")] = "45MB",
    sizes: Annotated[Path | None, typer.Option(help="A CSV tenant,bytes with checkpoint sizes.")] = None,
    store: Annotated[str | None, typer.Option(help="Take sizes from this store: a folder, s3://bucket/prefix.")] = None,
    calls_a_day: Annotated[float, typer.Option(min=1, help="Of classes: calls of all tenants in a day.")] = 80_000,
    session_length: Annotated[float, typer.Option(min=1, help="Of classes: calls in a row by one tenant.")] = 1.0,
    sessions_open: Annotated[float, typer.Option(min=0.1, help="Of classes: sessions open at a time.")] = 40.0,
    calls: Annotated[int, typer.Option(min=1000, help="Of classes: calls to draw and replay.")] = 90_000,
    memory: Annotated[list[str] | None, typer.Option(help="Memory for models to try: 16GB. Repeatable.")] = None,
    policy: Annotated[PolicyName, typer.Option(help="The node's eviction policy.")] = DEFAULT_POLICY,
    policies: Annotated[bool, typer.Option("--policies", help="Compare all policies, and the optimum.")] = False,
    target_hit_ratio: Annotated[float, typer.Option(min=0, max=1, help="What the fleet must reach.")] = 0.9,
    target_p95: Annotated[
        float | None, typer.Option(min=0, help="Instead: milliseconds for 95 % of the calls, cold ones among them.")
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="Your price list. Default: an example.")] = None,
    chart_to: Annotated[Path | None, typer.Option("--chart", help="Draw the curves into this HTML file.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Replays at a time. Default: one a core.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Plan capacity: hit ratio against memory, what meets a target, and what it costs.

    Exit status 1: nothing on the curve meets the target. 2: the traffic, the sizes or the prices cannot be read.
    """
    try:
        own_sizes = (read_sizes(sizes) if sizes else {}) | (_stored_sizes(store) if store else {})
        if all(is_class(each) for each in traffic):
            classes = [parse_class(each, parse_size(size)) for each in traffic]
            trace, known = _draw(classes, calls, calls_a_day, session_length, sessions_open)
        elif len(traffic) == 1:
            trace, known = read_calls(Path(traffic[0]), parse_size(size), own_sizes), None
        else:
            raise BadTrafficError("give one file, or classes written tenants:share%, as 500:60% 1500:25% 2000:15%")
        memories = sorted({parse_size(each) for each in memory}) if memory else budgets(trace, 8)
        names = policies_to_compare() if policies else [str(policy)]
        names.sort(key=lambda name: name != policy)
        asked = Asked(trace, names, memories, Target(target_hit_ratio, target_p95), read_prices(prices), known)
    except (BadTrafficError, BadPricesError) as error:
        typer.echo(f"orchard plan: {error}", err=True)
        raise typer.Exit(2) from None
    with progress_bar("replaying", Console(stderr=True)) as progress:
        bar = progress.add_task("replaying", total=steps(asked))
        plan = make_plan(asked, jobs or os.cpu_count() or 1, lambda: progress.advance(bar))
    if chart_to is not None:
        chart_to.write_text(chart(plan), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(plan.to_json(), indent=1))
    else:
        Console(highlight=False).print(render(plan))
    if plan.memory is None:
        raise typer.Exit(1)


def _draw(
    classes: list[TenantClass], calls: int, calls_a_day: float, length: float, at_once: float
) -> tuple[Trace, che.Traffic]:
    shares = sum(each.share for each in classes)
    if abs(shares - 1) > 0.01:
        raise BadTrafficError(f"the shares of the classes add up to {shares:.0%}, not to 100 %")
    known = che.Traffic(rates(classes), class_sizes(classes))
    if length <= 1:
        return independent(classes, calls, seed=1, calls_a_day=calls_a_day), known
    gap = at_once * length / (length - 1)
    trace = sessions(classes, calls, seed=1, calls_a_day=calls_a_day, length=length, at_once=at_once)
    return trace, replace(known, length=length, gap=gap)


def _stored_sizes(store: str) -> dict[TenantId, int]:
    with complaints("plan"):
        states = tenant_states(open_catalog(store, None), _STORE_JOBS)
        return {state.tenant: state.pointer.manifest.resident_bytes for state in states if state.pointer}
