"""A verdict for people: a table in the terminal, a page with Locust's charts under it, and JSON for machines."""

import math
from html import escape
from pathlib import Path
from typing import Any

from locust.env import Environment
from locust.html import get_html_report
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.suites.promises import Judgement, Latencies, Verdict
from loadtests.suites.suite import Suite

_QUANTILES = (0.5, 0.95, 0.99)
_MARK = '<div id="root"></div>'
_STYLE = """
#verdict { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f23; }
#verdict h1 { font-size: 1.5rem; margin: 0; } #verdict p { margin: .3rem 0 1rem; color: #57606a; }
#verdict table { border-collapse: collapse; width: 100%; margin-bottom: 1.5rem; font-variant-numeric: tabular-nums; }
#verdict th, #verdict td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid #d8dee4; }
#verdict th:first-child, #verdict td:first-child { text-align: left; }
#verdict .kept { color: #1a7f37; } #verdict .broken { color: #cf222e; font-weight: 600; }
"""


def console_table(suite: Suite, verdict: Verdict, report: Path) -> None:
    """Print the promises, each with what was measured, and the verdict."""
    console = Console(highlight=False)
    table = Table(title=suite.title, title_justify="left", box=None, pad_edge=False)
    table.add_column("calls of")
    for heading in ("calls", *(f"p{100 * quantile:g}" for quantile in _QUANTILES), "promised", ""):
        table.add_column(heading, justify="right")
    for judgement in verdict.judgements:
        kept = Text("kept", "green") if judgement.is_kept else Text("broken", "bold red")
        table.add_row(*_cells(judgement), kept)
    console.print(table)
    for complaint in verdict.complaints:
        console.print(f"  {complaint}", style="red", markup=False, soft_wrap=True)
    word = Text("PASSED", "bold green") if verdict.is_passed else Text("FAILED", "bold red")
    console.print(Text.assemble(word, f"  {_facts(verdict)}  report: {report}"), soft_wrap=True)


def html_report(suite: Suite, verdict: Verdict, environment: Environment) -> str:
    """Locust's own report with the verdict before it: one file that needs nothing else.

    Raises:
        ValueError: Locust's report is not built as it was.
    """
    page = str(get_html_report(environment, show_download_link=False))  # type: ignore[no-untyped-call]
    if _MARK not in page:
        raise ValueError("Locust's report has changed: there is no place for the verdict in it")
    return page.replace(_MARK, _section(suite, verdict, environment) + _MARK, 1)


def summary(suite: Suite, verdict: Verdict, environment: Environment) -> dict[str, Any]:
    """The figures, for machines. Times are in milliseconds, NaN is null."""
    options = environment.parsed_options
    assert options is not None
    return {
        "suite": suite.name,
        "passed": verdict.is_passed,
        "complaints": verdict.complaints,
        "rate": options.rate,
        "api": options.api,
        "calls": verdict.figures.calls,
        "hit_ratio": _number(verdict.figures.hit_ratio),
        "promises": [
            {
                "group": each.promise.group,
                "start": each.promise.start.value,
                "quantile": each.promise.quantile,
                "promised": each.limit * 1e3,
                "calls": each.measured.calls,
                **{f"p{100 * quantile:g}": _number(each.measured.quantile(quantile)) for quantile in _QUANTILES},
                "kept": each.is_kept,
            }
            for each in verdict.judgements
        ],
    }


def _section(suite: Suite, verdict: Verdict, environment: Environment) -> str:
    options = environment.parsed_options
    assert options is not None
    word = '<span class="kept">passed</span>' if verdict.is_passed else '<span class="broken">failed</span>'
    facts = f"{_facts(verdict)}, {options.rate:g} calls a second were due, over {options.api}. "
    note = "Times count from the moment a call was due."
    complaints = "".join(f'<li class="broken">{escape(complaint)}</li>' for complaint in verdict.complaints)
    return (
        f'<style>{_STYLE}</style><section id="verdict"><h1>{escape(suite.title)}: {word}</h1>'
        f"<p>{escape(facts + note)}</p><ul>{complaints}</ul>{_promises(verdict)}{_groups(verdict)}</section>"
    )


def _promises(verdict: Verdict) -> str:
    rows = ""
    for judgement in verdict.judgements:
        kept = "kept" if judgement.is_kept else "broken"
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in _cells(judgement))
        rows += f'<tr>{cells}<td class="{kept}">{kept}</td></tr>'
    return f"<table><tr><th>Promised to</th>{_headings()}<th>promised</th><th></th></tr>{rows}</table>"


def _groups(verdict: Verdict) -> str:
    rows = ""
    for (group, start), latencies in sorted(verdict.figures.latencies.items()):
        cells = "".join(f"<td>{cell}</td>" for cell in _quantiles(latencies))
        rows += f"<tr><td>{escape(f'{group}, {start}')}</td><td>{latencies.calls:,}</td>{cells}</tr>"
    return f"<table><tr><th>All calls</th>{_headings()}</tr>{rows}</table>"


def _headings() -> str:
    return "<th>calls</th>" + "".join(f"<th>p{100 * quantile:g}, ms</th>" for quantile in _QUANTILES)


def _cells(judgement: Judgement) -> list[str]:
    promise, measured = judgement.promise, judgement.measured
    promised = f"p{100 * promise.quantile:g} ≤ {judgement.limit * 1e3:g} ms"
    return [f"{promise.group}, {promise.start.value}", f"{measured.calls:,}", *_quantiles(measured), promised]


def _quantiles(latencies: Latencies) -> list[str]:
    return [f"{latencies.quantile(quantile):g}" if latencies.calls else "" for quantile in _QUANTILES]


def _facts(verdict: Verdict) -> str:
    figures = verdict.figures
    return f"{figures.calls:,} calls, {figures.hit_ratio:.1%} warm, {sum(figures.failures.values()):,} failed or wrong"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
