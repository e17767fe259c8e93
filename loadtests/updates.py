"""New versions published under load: nobody's call fails, and each answer is wholly of one version published."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.admin import Admin
from loadtests.crowd import Crowd
from loadtests.models import Reference
from loadtests.pressure import Pressure, Reply
from loadtests.publishing import compile_all
from tools.catalog.catalog import Catalog
from tools.catalog.store import open_store
from tools.catalog.tenant import TenantId
from tools.stack import Node

# Beside the interval: the load of a new version, on a machine that does much else.
SLACK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Updates:
    """What was seen. `behind` are the seconds after which each publish was last contradicted by an old answer."""

    publishes: int
    requests: int
    statuses: dict[int, int]
    of_no_version: int
    before_their_time: int
    behind: tuple[float, ...]
    interval: float
    loads: int

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept, in words."""
        promises = {
            "every request is answered": set(self.statuses) == {200},
            "every answer is of one version": not self.of_no_version,
            "a version answers when it is published, not before": not self.before_their_time,
            "after the interval only the new one": max(self.behind) <= self.interval + SLACK_SECONDS,
            "an update is no cold start": self.loads == 0,
        }
        return [promise for promise, kept in promises.items() if not kept]


@dataclass(frozen=True, slots=True)
class Round:
    """One round of publishes: when it began, and when each tenant's was done."""

    began: float
    done: dict[TenantId, float]


def publish_under_load(
    node: Node, scratch: Path, tenants: int, rounds: int, say: Callable[[str], None] = lambda _: None
) -> Updates:
    """Publish `rounds` new versions of each of `tenants` tenants to a running node's store while they are called."""
    crowd, names = Crowd(), [TenantId(f"updated-{number:02}") for number in range(tenants)]
    references = {
        name: [crowd.reference(_number(round_, index)) for round_ in range(rounds + 1)]
        for index, name in enumerate(names)
    }
    say("compiling")
    bundles = [_compiled(crowd, scratch / f"round-{round_}", names, round_) for round_ in range(rounds + 1)]
    catalog, admin = Catalog(open_store(node.settings.store)), Admin(node.at.admin)
    published = [_publish(catalog, bundles[0])]
    interval = node.settings.update_interval
    with Pressure(node.at.http, crowd.rows, lambda draw: draw.choice(names)) as pressure:
        while {reply.tenant for reply in pressure.replies} != set(names):
            time.sleep(0.1)
        loads = admin.status()["loads"]
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            published.append(_publish(catalog, bundles[number]))
            time.sleep(interval)
        time.sleep(interval + SLACK_SECONDS)
        loads = admin.status()["loads"] - loads
    return judge(pressure.replies, references, published, interval, loads)


def _number(round_: int, index: int) -> int:
    return 1_000 * round_ + index


def _compiled(crowd: Crowd, folder: Path, names: Sequence[TenantId], round_: int) -> list[Path]:
    numbers = {_number(round_, index): name for index, name in enumerate(names)}
    crowd.write(folder / "models", list(numbers), numbers.__getitem__)
    return compile_all(sorted((folder / "models").iterdir()), folder / "bundles")


def _publish(catalog: Catalog, bundles: Sequence[Path]) -> Round:
    began = time.monotonic()
    done = {}
    for bundle in bundles:
        done[catalog.publish(bundle).pointer.tenant] = time.monotonic()
    return Round(began, done)


def judge(
    replies: Sequence[Reply],
    references: dict[TenantId, list[Reference]],
    published: Sequence[Round],
    interval: float,
    loads: int,
) -> Updates:
    """Hold replies against what was published: `references` of every version by tenant, the first live at the start."""
    of_no_version = before_their_time = 0
    behind = {(round_, tenant): 0.0 for round_ in range(1, len(published)) for tenant in references}
    for reply in replies:
        if reply.output is None:
            continue
        version = _version(reply, references[reply.tenant])
        if version is None:
            of_no_version += 1
            continue
        before_their_time += reply.answered < published[version].began
        for newer in range(version + 1, len(published)):
            late = reply.asked - published[newer].done[reply.tenant]
            behind[newer, reply.tenant] = max(behind[newer, reply.tenant], late)
    return Updates(
        publishes=sum(len(round_.done) for round_ in published[1:]),
        requests=len(replies),
        statuses=dict(Counter(reply.status for reply in replies)),
        of_no_version=of_no_version,
        before_their_time=before_their_time,
        behind=tuple(sorted(behind.values())),
        interval=interval,
        loads=loads,
    )


def _version(reply: Reply, versions: Sequence[Reference]) -> int | None:
    assert reply.output is not None
    found = [number for number, reference in enumerate(versions) if reference.agrees(0, reply.output)]
    return found[0] if len(found) == 1 else None
