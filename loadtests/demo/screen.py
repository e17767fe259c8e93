"""What a demo shows: numbered steps with their time, progress bars, and the table at the end."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtests.summary import Latency, ReplaySummary


class Screen:
    """Numbers the steps of a run on `console`."""

    def __init__(self, console: Console, steps: int) -> None:
        self.console = console
        self._steps = steps
        self._step = 0

    @contextlib.contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator["Step"]:
        """One step: a bar up to `total` (or a spinner) while it runs, and one line when it is done."""
        self._step += 1
        number = f"[bold]{self._step}/{self._steps}[/]"
        columns = [SpinnerColumn(), TextColumn("{task.description}")]
        if total is not None:
            columns += [BarColumn(), MofNCompleteColumn()]
        started = time.monotonic()
        plain = not self.console.is_terminal
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True, disable=plain) as progress:
            task = progress.add_task(f"{number} {title}", total=total)
            step = Step(lambda: progress.advance(task), progress.console)
            yield step
        seconds = time.monotonic() - started
        self.console.print(f"{number} {title}{step.result} [dim]{seconds:.1f} s[/]", highlight=False, soft_wrap=True)


class Step:
    """A running step. What it did is told with `done`, to stand on its line."""

    def __init__(self, advance: Callable[[], None], console: Console) -> None:
        self.advance = advance
        self.result = ""
        self._console = console

    def say(self, text: str) -> None:
        """A line of its own, above the bar."""
        self._console.print(f"    {text}", highlight=False, soft_wrap=True)

    def done(self, what: str) -> None:
        self.result = f": {what}"


def results_table(summary: ReplaySummary, evictions: int, loads: int) -> Table:
    """The figures of a replay, one a line."""
    table = Table(show_header=False, box=box.SIMPLE, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_row("requests", f"{summary.requests:,} ({summary.rows:,} rows)")
    table.add_row("hit ratio", f"{summary.hit_ratio:.1%}")
    table.add_row("loads, evictions", f"{loads:,}, {evictions:,}")
    table.add_section()
    table.add_row("warm, HTTP through nginx", quantiles(summary.warm))
    table.add_row("cold, HTTP through nginx", quantiles(summary.cold))
    table.add_row("gRPC, warm and cold", quantiles(summary.grpc))
    table.add_section()
    table.add_row("wrong answers", _zero_is_good(summary.wrong))
    table.add_row("failed requests", _zero_is_good(summary.failed))
    return table


def verdict(summary: ReplaySummary) -> str:
    """The demo in one line."""
    if summary.passed:
        return f"[bold green]All {summary.requests:,} answers are XGBoost's own.[/]"
    return f"[bold red]{summary.wrong} wrong and {summary.failed} failed of {summary.requests:,} requests.[/]"


def quantiles(latency: Latency) -> str:
    """`p50 0.81  p95 1.90  p99 3.10 ms  of 6,200`."""
    if not latency.calls:
        return "none"
    return f"p50 {latency.p50:.2f}  p95 {latency.p95:.2f}  p99 {latency.p99:.2f} ms  of {latency.calls:,}"


def _zero_is_good(count: int) -> str:
    return f"[green]{count}[/]" if count == 0 else f"[bold red]{count:,}[/]"
