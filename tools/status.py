"""What a running node says of itself, and how it is shown."""

import json
import urllib.error
import urllib.request
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tools.admin import admin_request
from tools.catalog.tenant import TenantId

_ROWS = 40
_MB = 1e6


class NoAnswerError(RuntimeError):
    """The node's admin port does not answer."""


class RefusedError(RuntimeError):
    """The node refused what it was asked. The message is its own."""


def fetch_status(admin: str) -> dict[str, Any]:
    """The answer of `GET /status` at `admin` (host:port): budget, counters, and the tenants that hold memory.

    Raises:
        NoAnswerError: nothing answers there, or not as a sidecar does.
    """
    try:
        with urllib.request.urlopen(admin_request(admin, "/status"), timeout=10.0) as answer:
            status: dict[str, Any] = json.load(answer)
    except (OSError, ValueError) as error:
        raise NoAnswerError(f"no node answers at {admin}: {error}") from None
    return status


def release(admin: str, tenant: TenantId) -> None:
    """Have the node at `admin` (host:port) try a quarantined tenant again.

    Raises:
        NoAnswerError: nothing answers there.
        RefusedError: the tenant is not quarantined.
    """
    asked = admin_request(admin, f"/quarantine/{tenant}", "DELETE")
    try:
        urllib.request.urlopen(asked, timeout=10.0).close()
    except urllib.error.HTTPError as refusal:
        raise RefusedError(_said(refusal)) from None
    except OSError as error:
        raise NoAnswerError(f"no node answers at {admin}: {error}") from None


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
    lines = [
        f"memory    {memory} in {len(status['tenants'])} tenants",
        f"requests  {requests:,}, hit ratio {ratio}",
        f"loads     {status['loads']:,}, evictions {status['evictions']:,}",
    ]
    if not status["triton_up"]:
        lines.append("triton    does not answer; calls wait a few seconds for it")
    lines += [
        f"trouble   {each['tenant']} is quarantined: loading version {each['version']} ended Triton twice. Publish "
        f"another version, or: orchard release {each['tenant']}"
        for each in status["quarantined"]
    ]
    return lines


def _said(refusal: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(refusal)["error"])
    except (ValueError, KeyError, TypeError):
        return f"status {refusal.code}"


def _ago(now: float, then: float | None) -> str:
    if not then:
        return "never"
    seconds = max(0, round(now - then))
    if seconds < 60:
        return f"{seconds} s ago"
    if seconds < 3600:
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago"
