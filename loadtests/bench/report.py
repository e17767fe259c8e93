"""The report of a benchmark: a table for people and a JSON file for comparing runs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from loadtests.bench.figures import Figure, Target

_CAPTION = "c: connections at once. Medians and ranges are those of the rounds."


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured, by measurement, and on what."""

    started: str
    rounds: int
    quick: bool
    measured: Mapping[str, Sequence[Figure]]

    @property
    def missed(self) -> list[Figure]:
        """The figures that do not reach their targets."""
        return [figure for figures in self.measured.values() for figure in figures if figure.met is False]

    def to_dict(self) -> dict[str, Any]:
        return {
            "started": self.started,
            "rounds": self.rounds,
            "quick": self.quick,
            "machine": {"cores": os.cpu_count(), "system": platform.platform(), "processor": _processor()},
            "measured": {name: [figure.to_dict() for figure in figures] for name, figures in self.measured.items()},
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")

    def table(self) -> Table:
        table = Table(box=box.SIMPLE, pad_edge=False, caption=_CAPTION, caption_justify="left")
        table.add_column("", no_wrap=True)
        table.add_column("median", justify="right", no_wrap=True)
        table.add_column("range", justify="right", style="dim", no_wrap=True)
        table.add_column("target", justify="right", no_wrap=True)
        table.add_column("met", no_wrap=True)
        for figures in self.measured.values():
            table.add_section()
            for figure in figures:
                table.add_row(*_row(figure))
        return table


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    spread = f"{number(figure.low)} .. {number(figure.high)}" if figure.rounds > 1 else ""
    met = {None: "", True: "[green]yes[/]", False: "[bold red]NO[/]"}[figure.met]
    return figure.name, f"{number(figure.median)} {figure.unit}".strip(), spread, _limit(figure.target), met


def _limit(target: Target | None) -> str:
    if target is None:
        return ""
    return f"{'≥' if target.side == 'at least' else '≤'} {number(target.limit)}"


def number(value: float) -> str:
    """As many digits as are worth reading: `0.71`, `38.4`, `14,210`."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
