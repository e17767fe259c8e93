"""What a running node says of itself, and how it is shown."""

import json
import urllib.request
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

_ROWS = 40
_MB = 1e6


class NoAnswerError(RuntimeError):
    """The node's admin port does not answer."""


def fetch_status(admin: str) -> dict[str, Any]:
    """The answer of `GET /status` at `admin` (host:port): budget, counters, and the tenants that hold memory.

    Raises:
        NoAnswerError: nothing answers there, or not as a sidecar does.
    """
    try:
        with urllib.request.urlopen(f"http://{admin}/status", timeout=10.0) as answer:
            status: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        raise NoAnswerError(f"no node answers at {admin}: {error}") from None
    return status


def render_status(status: dict[str, Any], now: float) -> Group:
    """`status` for a terminal, the tenants used last first; `now` is in seconds since the epoch."""
    tenants = sorted(status["tenants"], key=lambda each: each["last_used"] or 0.0, reverse=True)
    table = Table("tenant", "version", "state", box=None)
    for heading in ("MB", "uses", "last used"):
        table.add_column(heading, justify="right")
    for each in tenants[:_ROWS]:
        table.add_row(
            each["tenant"],
            str(each["version"] or ""),
            each["state"] + (", pinned" if each["pinned"] else ""),
            f"{each['bytes'] / _MB:.1f}",
            f"{each['uses']:,}",
            _ago(now, each["last_used"]),
        )
    parts: list[Table | Text] = [Text(line) for line in _summary(status)]
    if tenants:
        parts += [Text(), table]
    if len(tenants) > _ROWS:
        parts.append(Text(f"… and {len(tenants) - _ROWS} more: --json lists all"))
    return Group(*parts)


def _summary(status: dict[str, Any]) -> list[str]:
    held, budget = status["held_bytes"], status["budget_bytes"]
    memory = f"{held / _MB:,.0f} of {budget / _MB:,.0f} MB ({held / budget:.0%})"
    requests = status["hits"] + status["misses"]
    ratio = f"{status['hit_ratio']:.1%}" if requests else "none yet"
    return [
        f"memory    {memory} in {len(status['tenants'])} tenants",
        f"requests  {requests:,}, hit ratio {ratio}",
        f"loads     {status['loads']:,}, evictions {status['evictions']:,}",
    ]


def _ago(now: float, then: float | None) -> str:
    if not then:
        return "never"
    seconds = max(0, round(now - then))
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago"
