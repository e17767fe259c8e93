"""Who does what to the node: callers, floods, and somebody who publishes, evicts and kills."""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.admin import Admin, AdminError
from loadtests.background import Background
from loadtests.fraud_data import Floats
from loadtests.kserve import HttpCaller, binary_request
from loadtests.pressure import ask
from loadtests.soak.ledger import Ledger
from tools.catalog.catalog import Catalog
from tools.catalog.tenant import TenantId
from tools.stack import Node

RECOVERY_SECONDS = 60.0
_FLOOD_THREADS, _FLOOD_SECONDS = 24, 2.0
_POLL_SECONDS = 0.05
# After the first right answer of everybody: calls that were on their way, and those they were in the way of.
_SLACK_SECONDS = 2.0


class Mender(Background):
    """While entered, brings back whatever dies of a node, as `orchard up` does.

    What it has brought back ends with its thread: children are told when the thread that started them ends.
    """

    def __init__(self, node: Node) -> None:
        super().__init__("mender")
        self._node = node

    def _work(self, _: int) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            self._node.mend()


class Callers(Background):
    """While entered, `threads` clients call random tenants, each after `pause` seconds; the pinned more than others."""

    def __init__(
        self,
        address: str,
        rows: Floats,
        tenants: Sequence[TenantId],
        pinned: TenantId,
        ledger: Ledger,
        threads: int,
        pause: float,
    ) -> None:
        super().__init__("caller", threads)
        self._address = address
        self._request = binary_request(rows)
        self._tenants = tenants
        self._pinned = pinned
        self._ledger = ledger
        self._pause = pause

    def _work(self, number: int) -> None:
        draw, caller = random.Random(number), HttpCaller(self._address)
        while not self._stop.wait(self._pause):
            tenant = self._pinned if draw.random() < 0.3 else draw.choice(self._tenants)
            self._ledger.take(ask(caller, tenant, self._request))
        caller.close()


@dataclass
class Troublemaker:
    """Does one thing after another to the node, chosen at random: `bundles` are each tenant's versions to publish.

    `done` counts what was done; `most_held` is the most bytes that models were seen to be reckoned at.
    """

    node: Node
    catalog: Catalog
    bundles: Mapping[TenantId, Sequence[Path]]
    pinned: TenantId
    rows: Floats
    ledger: Ledger
    say: Callable[[str], None]
    draw: random.Random = field(default_factory=lambda: random.Random(6))
    done: dict[str, int] = field(default_factory=dict)
    most_held: int = 0

    def run(self, seconds: float, kills: bool) -> None:
        """Make trouble for so long; `kills` says whether parts of the node are killed, too."""
        deadline = time.monotonic() + seconds
        deeds: list[tuple[Callable[[], None], int]] = [(self._publish, 10), (self._evict, 8), (self._flood, 2)]
        if kills:
            deeds += [(lambda: self._kill("sidecar"), 1), (lambda: self._kill("triton"), 1)]
            # Each at least once, however short the run is.
            for part in ("sidecar", "triton"):
                self._kill(part)
        self._flood()
        while time.monotonic() < deadline:
            (deed,) = self.draw.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
            deed()
            time.sleep(self.draw.uniform(0.1, 1.0))
            self.most_held = max(self.most_held, Admin(self.node.at.admin).status()["held_bytes"])

    def _publish(self) -> None:
        tenant = self.draw.choice(list(self.bundles))
        version = self.draw.randrange(len(self.bundles[tenant]))
        self._count("published", f"publishing {tenant}")
        self.ledger.publishing(tenant, version)
        self.catalog.publish(self.bundles[tenant][version])

    def _evict(self) -> None:
        tenant = self.draw.choice([tenant for tenant in self.bundles if tenant != self.pinned])
        self._count("evicted", f"evicting {tenant}")
        with suppress(AdminError):  # it is not resident
            Admin(self.node.at.admin).unload(tenant)

    def _flood(self) -> None:
        self._count("flooded", "a flood")
        tenants = list(self.bundles)
        with Callers(self.node.at.http, self.rows, tenants, self.pinned, self.ledger, _FLOOD_THREADS, 0.0):
            time.sleep(_FLOOD_SECONDS)

    def _kill(self, part: str) -> None:
        self._count(f"{part} killed", f"killing {part}")
        with self.ledger.disrupted(part):
            os.kill(self.node.pid(part), signal.SIGKILL)
            self._await_recovery()
            time.sleep(_SLACK_SECONDS)

    def _await_recovery(self) -> None:
        deadline = time.monotonic() + RECOVERY_SECONDS
        caller, request = HttpCaller(self.node.at.http), binary_request(self.rows)
        time.sleep(_POLL_SECONDS)
        while not all(ask(caller, tenant, request).status == 200 for tenant in self.bundles):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the node did not answer for everybody within {RECOVERY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        caller.close()

    def _count(self, deed: str, what: str) -> None:
        self.done[deed] = self.done.get(deed, 0) + 1
        self.say(what)
