"""`python -m loadtests.endurance`: what a node on S3 goes through in a bad week, in a few minutes.

New versions are published under load, many more than once in an interval; then the store is killed under load, and
comes back; then it hangs, and comes back.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console

from loadtests.outage import How, Outage, make_fleet, survive
from loadtests.s3_server import BUCKET, S3Server
from loadtests.scratch import scratch_folder
from loadtests.summary import Latency
from loadtests.updates import Updates, publish_under_load
from tools.node_settings import NodeSettings
from tools.stack import Node

STORE = f"s3://{BUCKET}/endurance"


def main(
    tenants: Annotated[int, typer.Option(min=1, help="Tenants that get new versions.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="New versions of each.")] = 10,
    interval: Annotated[float, typer.Option(help="The node's update interval, seconds.")] = 5.0,
    away: Annotated[float, typer.Option(help="How long the store is away each time, seconds.")] = 60.0,
    output: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("reports/endurance.json"),
) -> None:
    """Publish under load, and take the store away under load. Exit status 1: a promise was not kept."""
    console = Console(highlight=False)
    with console.status("starting") as status, scratch_folder("endurance") as scratch:
        updates = _updates(scratch / "updates", tenants, rounds, interval, status.update)
        _show_updates(console, updates)
        outages = list[Outage]()
        for how in get_args(How):
            outages.append(_outage(scratch / how, how, away, status.update))
            _show_outage(console, outages[-1])
    output.parent.mkdir(parents=True, exist_ok=True)
    report = {"updates": asdict(updates), "outages": [asdict(outage) for outage in outages]}
    output.write_text(json.dumps(report, indent=1) + "\n")
    broken = updates.broken + [promise for outage in outages for promise in outage.broken]
    for promise in broken:
        console.print(f"[bold red]Not kept:[/] {promise}")
    console.print(f"Written to {output}")
    raise typer.Exit(1 if broken else 0)


def _updates(home: Path, tenants: int, rounds: int, interval: float, say: Any) -> Updates:
    home.mkdir()
    with (
        S3Server(home) as server,
        server.found(),
        Node(_settings(home, update_interval=interval)) as node,
    ):
        return publish_under_load(node, home, tenants, rounds, say)


def _outage(home: Path, how: How, seconds: float, say: Any) -> Outage:
    home.mkdir()
    with S3Server(home) as server, server.found():
        say("publishing")
        fleet, budget = make_fleet(STORE, home)
        with Node(_settings(home, memory_budget=budget)) as node:
            return survive(node, server, fleet, how, seconds, say)


def _settings(home: Path, **changes: Any) -> NodeSettings:
    return NodeSettings(
        store=STORE,
        state=home / "node",
        repository=home / "repository",
        http_port=0,
        grpc_port=0,
        admin_port=0,
        **changes,
    )


def _show_updates(console: Console, updates: Updates) -> None:
    median = updates.behind[len(updates.behind) // 2]
    console.print(
        f"{updates.publishes} publishes under load, {updates.requests:,} requests, by status: {updates.statuses}\n"
        f"  answers of no version or of two: {updates.of_no_version}; of one not published yet: "
        f"{updates.before_their_time}; cold starts: {updates.loads}\n"
        f"  an old version last answered {median:.1f} s after a publish in the median, {updates.behind[-1]:.1f} s at "
        f"most, with an interval of {updates.interval:g} s"
    )


def _show_outage(console: Console, outage: Outage) -> None:
    recovered = "never" if outage.recovered_after is None else f"{outage.recovered_after:.1f} s after it was back"
    console.print(
        f"the store {outage.how} for {outage.seconds:.0f} s, by status:\n"
        f"  resident {outage.resident}, {_latency(outage.resident_latency)}\n"
        f"  on disk  {outage.on_disk}, {_latency(outage.on_disk_latency)}, {outage.evictions} evictions\n"
        f"  others   {outage.never}, {_latency(outage.never_latency)}; {outage.without_retry_after} 503 without "
        f"Retry-After\n"
        f"  wrong answers: {outage.wrong}; recovered {recovered}; failed since: {outage.failed_after_recovery}"
    )


def _latency(latency: Latency) -> str:
    return f"p50 {latency.p50:.1f} ms, p99 {latency.p99:.0f} ms"


if __name__ == "__main__":
    typer.run(main)
