"""The store goes away under load, and comes back: who notices, and what they are told."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loadtests.admin import Admin
from loadtests.crowd import Crowd
from loadtests.kserve import HttpCaller
from loadtests.models import Reference
from loadtests.pressure import Pressure, Reply
from loadtests.publishing import compile_all, publish_all
from loadtests.s3_server import S3Server
from loadtests.summary import Latency
from tools.catalog.tenant import TenantId
from tools.stack import Node

How = Literal["killed", "frozen"]
RECOVERY_SECONDS = 30.0
# Of ten calls, how many are for tenants that stay in memory, and that are on disk; the others were never called.
_RESIDENT, _ON_DISK = 6, 3
_CALM_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Tenants by what a node has of them: called so often that they stay in memory, fetched once, never called."""

    resident: list[TenantId]
    on_disk: list[TenantId]
    never: list[TenantId]

    @property
    def everybody(self) -> list[TenantId]:
        return [*self.resident, *self.on_disk, *self.never]


@dataclass(frozen=True, slots=True)
class Outage:
    """What was seen. Statuses are those of calls made while the store was away; latencies are in milliseconds."""

    how: How
    seconds: float
    resident: dict[int, int]
    on_disk: dict[int, int]
    never: dict[int, int]
    without_retry_after: int
    wrong: int
    resident_latency: Latency
    on_disk_latency: Latency
    never_latency: Latency
    evictions: int
    recovered_after: float | None
    failed_after_recovery: int

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, in words."""
        promises = {
            "residents notice nothing": set(self.resident) == {200},
            "what is on disk is served": set(self.on_disk) == {200},
            "the disk tier was needed": self.evictions > 0,
            "the others are answered 503": set(self.never) == {503},
            "and told when to come back": not self.without_retry_after,
            "every answer is right": not self.wrong,
            "it recovers by itself": self.recovered_after is not None,
            "and for good": not self.failed_after_recovery,
        }
        return [promise for promise, kept in promises.items() if not kept]


def make_fleet(store: str, scratch: Path, resident: int = 4, on_disk: int = 12, never: int = 40) -> tuple[Fleet, int]:
    """Compile and publish the tenants of an outage.

    Returns them and a memory budget for the residents and a few more, so that those on disk come and go.
    """
    names = [TenantId(f"outage-{number}") for number in range(resident + on_disk + never)]
    Crowd().write(scratch / "models", range(len(names)), names.__getitem__)
    manifests = publish_all(compile_all(sorted((scratch / "models").iterdir()), scratch / "bundles"), store)
    fleet = Fleet(names[:resident], names[resident : resident + on_disk], names[resident + on_disk :])
    return fleet, (resident + 3) * max(manifest.resident_bytes for manifest in manifests)


def survive(
    node: Node,
    server: S3Server,
    fleet: Fleet,
    how: How,
    seconds: float,
    say: Callable[[str], None] = lambda _: None,
) -> Outage:
    """Take the store away from a node under mixed load for so many seconds."""
    crowd = Crowd()
    references = {tenant: crowd.reference(_number(tenant)) for tenant in fleet.everybody}
    caller = HttpCaller(node.at.http)
    for tenant in (*fleet.on_disk, *fleet.resident):
        caller.infer(tenant, crowd.rows)
    caller.close()
    admin = Admin(node.at.admin)
    mix = _Mix(fleet)
    with Pressure(node.at.http, crowd.rows, mix.choose) as pressure:
        time.sleep(_CALM_SECONDS)
        evictions = admin.status()["evictions"]
        say(f"the store is {how}")
        server.kill() if how == "killed" else server.freeze()
        mix.with_strangers = True
        gone = time.monotonic()
        time.sleep(seconds)
        evictions = admin.status()["evictions"] - evictions
        say("the store is back")
        back = time.monotonic()
        server.start() if how == "killed" else server.thaw()
        recovered = _await_recovery(pressure, fleet, back)
        time.sleep(2 * _CALM_SECONDS)
    away = [reply for reply in pressure.replies if gone <= reply.asked and reply.answered <= back]
    later = [reply for reply in pressure.replies if recovered and reply.asked > recovered + _CALM_SECONDS]
    resident, on_disk, never = (
        [reply for reply in away if reply.tenant in group] for group in (fleet.resident, fleet.on_disk, fleet.never)
    )
    return Outage(
        how=how,
        seconds=back - gone,
        resident=_statuses(resident),
        on_disk=_statuses(on_disk),
        never=_statuses(never),
        without_retry_after=sum(reply.status == 503 and not reply.retry_after for reply in pressure.replies),
        wrong=sum(_is_wrong(reply, references) for reply in pressure.replies),
        resident_latency=Latency.of([reply.seconds for reply in resident]),
        on_disk_latency=Latency.of([reply.seconds for reply in on_disk]),
        never_latency=Latency.of([reply.seconds for reply in never]),
        evictions=evictions,
        recovered_after=recovered - back if recovered else None,
        failed_after_recovery=sum(reply.status != 200 for reply in later),
    )


def _number(tenant: TenantId) -> int:
    return int(tenant.rpartition("-")[2])


class _Mix:
    """Who is called next. Strangers, whom only the store has, are called when `with_strangers` says so."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.with_strangers = False

    def choose(self, draw: random.Random) -> TenantId:
        place = draw.randrange(10 if self.with_strangers else _RESIDENT + _ON_DISK)
        if place < _RESIDENT:
            return draw.choice(self._fleet.resident)
        return draw.choice(self._fleet.on_disk if place < _RESIDENT + _ON_DISK else self._fleet.never)


def _await_recovery(pressure: Pressure, fleet: Fleet, back: float) -> float | None:
    """When a stranger was answered again, or None if that takes too long."""
    strangers = set(fleet.never)
    while time.monotonic() < back + RECOVERY_SECONDS:
        for reply in pressure.replies[-200:]:
            if reply.tenant in strangers and reply.status == 200 and reply.asked > back:
                return reply.answered
        time.sleep(0.05)
    return None


def _statuses(replies: Sequence[Reply]) -> dict[int, int]:
    return dict(Counter(reply.status for reply in replies))


def _is_wrong(reply: Reply, references: dict[TenantId, Reference]) -> bool:
    return reply.output is not None and not references[reply.tenant].agrees(0, reply.output)
