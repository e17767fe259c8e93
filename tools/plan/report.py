"""A plan for a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from tools.catalog.tenant import TenantId
from tools.plan.curve import OPTIMUM
from tools.plan.plan import Plan
from tools.plan.trace import DAY

_NAMES_SHOWN = 5


def render(plan: Plan) -> Group:
    """The plan as tables and sentences."""
    parts: list[RenderableType] = [Text(_traffic(plan)), Text(), _curve(plan), Text(), Text(_need(plan)), Text()]
    parts += [_fleets(plan), Text()]
    if plan.asked.prices.is_example:
        parts.append(Text("The prices are examples: put your own in with --prices.", style="yellow"))
    return Group(*parts, *(Text(line) for line in _apart(plan)))


def _traffic(plan: Plan) -> str:
    trace = plan.asked.trace
    return (
        f"{len(trace.tenants):,} tenants, {decimal(int(trace.sizes.sum()))} in memory if all were resident; "
        f"{len(trace.calls):,} calls over {trace.seconds / DAY:.2f} days, {plan.busiest_rate:,.2f} a second at the most"
    )


def _curve(plan: Plan) -> Table:
    if len(plan.curves) > 1:
        return _comparison(plan)
    table = Table(box=None, title=f"{plan.policy}, by exact replay", title_justify="left")
    headings = ["memory", "of all", "hit ratio", "by bytes", "cold calls a day", "p95, ms"]
    for heading in headings + ["LRU by Che"] * bool(plan.approximate):
        table.add_column(heading, justify="right")
    whole = int(plan.asked.trace.sizes.sum())
    for point in plan.curves[plan.policy].points:
        row = [
            decimal(point.memory),
            f"{point.memory / whole:.0%}",
            f"{point.hit_ratio:.3f}",
            f"{point.byte_hit_ratio:.3f}",
            f"{point.cold_calls_a_day:,.0f}",
            f"{point.p95_ms:,.0f}",
        ]
        table.add_row(*row, *([f"{plan.approximate[point.memory]:.3f}"] if plan.approximate else []))
    return table


def _comparison(plan: Plan) -> Table:
    table = Table(box=None, title="hit ratio (by bytes), by exact replay", title_justify="left")
    table.add_column("memory", justify="right")
    equal = plan.asked.trace.sizes.min() == plan.asked.trace.sizes.max()
    for name in plan.curves:
        table.add_column(name if name != OPTIMUM or equal else "knowing the future", justify="right")
    for row in zip(*(curve.points for curve in plan.curves.values()), strict=True):
        best = max(point.hit_ratio for point in row if point.policy != OPTIMUM)
        cells = [
            f"{'[bold]' if point.hit_ratio == best else ''}{point.hit_ratio:.3f} ({point.byte_hit_ratio:.3f})"
            for point in row
        ]
        table.add_row(decimal(row[0].memory), *cells)
    return table


def _need(plan: Plan) -> str:
    if plan.memory is None:
        return f"No memory on the curve gives a {plan.asked.target}: lower the target, or raise --memory."
    whole = int(plan.asked.trace.sizes.sum())
    return (
        f"A {plan.asked.target} with {plan.policy} needs {decimal(plan.memory)} of memory for models "
        f"({plan.memory / whole:.0%} of what all would take)."
    )


def _fleets(plan: Plan) -> Table:
    table = Table("fleet", "machines", box=None)
    table.add_column("memory for models", justify="right")
    table.add_column(f"{plan.asked.prices.currency} a month", justify="right")
    for fleet in plan.fleets:
        table.add_row(fleet.name, fleet.note, decimal(fleet.memory), f"{fleet.a_month:,.0f}")
    return table


def _apart(plan: Plan) -> list[str]:
    if plan.pins:
        pin = (
            f"Pin {_names(plan.pins)}: they are resident at 99 % of their calls anyway, so it costs the others nothing."
        )
    else:
        pin = "Pin nobody for the sake of the whole: no tenant is resident at 99 % of its calls anyway."
    if plan.own_pool:
        pool = (
            f"Give {_names(plan.own_pool)} nodes of their own: each takes more than 10 % of one, and is felt by others."
        )
    else:
        pool = "Nobody needs nodes of its own: no tenant takes more than 10 % of one, in memory or in calls."
    return [pin, pool]


def _names(tenants: Sequence[TenantId]) -> str:
    shown = ", ".join(tenants[:_NAMES_SHOWN])
    return f"{shown} and {len(tenants) - _NAMES_SHOWN} others" if len(tenants) > _NAMES_SHOWN else shown
