"""A fleet on this machine: its local nodes and the front before them, brought back when they die."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.fleet.description import FleetDescription, Pool
from tools.fleet.front import FrontSettings, command, marked, routed, write_front
from tools.gateway import nginx_binary, spares_connections
from tools.node_parts import workers_user
from tools.node_settings import NodeSettings
from tools.ports import LOOPBACK, PortTakenError, free_ports, is_free
from tools.process import Process
from tools.stack import Node
from tools.supervisor import Supervisor

_POLL_SECONDS = 0.05
_NAME = "fleet.json"


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node answers clients and, when it runs on this machine, where it is administered."""

    http: str
    admin: str | None = None


@dataclass(frozen=True, slots=True)
class RunningFleet:
    """What a fleet on this machine has written of itself in its state folder."""

    front: FrontSettings
    nodes: dict[str, tuple[NodeAddress, ...]]


class Fleet:
    """`with Fleet(described, settings) as fleet: fleet.watch()`.

    `settings` is what all local nodes have in common; its HTTP port is the front's. Each node has a folder of its own
    below `settings.state` and `settings.repository`.

    Raises (on entering):
        PortTakenError: the front's port is in use.
        FrontRefusedError: nginx does not accept the front's configuration.
        NodeRunningError, ChildDiedError, NotReadyError, StoppedError: a part did not come up.
    """

    def __init__(
        self,
        described: FleetDescription,
        settings: NodeSettings,
        progress: Callable[[str], None] = lambda _: None,
        told_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._described = described
        self._settings = replace(settings, http_port=settings.http_port or free_ports(1, settings.host)[0])
        self._progress = progress
        self._told_to_stop = told_to_stop
        self.nodes: dict[str, list[Node]] = {}
        self._front: Supervisor | None = None

    @property
    def http_url(self) -> str:
        """The front's address, as http://host:port."""
        return f"http://{self._settings.host}:{self._settings.http_port}"

    def start(self) -> None:
        """Start all local nodes, then the front."""
        if not is_free(self._settings.host, self._settings.http_port):
            raise PortTakenError(f"port {self._settings.http_port} is in use: stop what uses it, or choose another")
        try:
            for name, pool in self._described.pools.items():
                self.nodes[name] = []
                for number in range(pool.nodes if isinstance(pool.nodes, int) else 0):
                    self._start_node(name, pool, number)
            self._start_front()
        except BaseException:
            self.stop()
            raise

    def watch(self) -> None:
        """Until told to stop, start again what has died."""
        while not self._told_to_stop():
            self._look()
            time.sleep(_POLL_SECONDS)

    def mend(self) -> None:
        """Start again what has died, at the same addresses, and return once everything is ready.

        Tenants of a node of which a part has died are served by others meanwhile.
        """
        self._look()
        while not self._is_whole() and not self._told_to_stop():
            time.sleep(_POLL_SECONDS)
            self._look()

    def stop(self) -> None:
        """Stop the front, then all nodes."""
        (self._settings.state / _NAME).unlink(missing_ok=True)
        if self._front is not None:
            self._front.stop()
        for nodes in self.nodes.values():
            for node in nodes:
                node.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _start_node(self, name: str, pool: Pool, number: int) -> None:
        http, grpc, admin = free_ports(3)
        node = Node(
            replace(
                self._settings,
                host=LOOPBACK,
                http_port=http,
                grpc_port=grpc,
                admin_port=admin,
                state=self._settings.state / f"{name}-{number}",
                repository=self._settings.repository / f"{name}-{number}",
                memory_budget=pool.memory_budget,
                cpus=pool.cpus,
                limits=self._described.limits,
                # The front is the only client.
                requests_per_address=0,
                pinned=tuple(sorted(self._described.pinned_in(name))),
            ),
            progress=lambda said: self._progress(f"{name}-{number}: {said}"),
            told_to_stop=self._told_to_stop,
        )
        node.start()
        self.nodes[name].append(node)

    def _look(self) -> None:
        assert self._front is not None, "the fleet is not started"
        self._front.mend()
        for nodes in self.nodes.values():
            for node in nodes:
                node.mend()

    def _is_whole(self) -> bool:
        assert self._front is not None, "the fleet is not started"
        nodes = (node for nodes in self.nodes.values() for node in nodes)
        return self._front.is_whole and all(node.supervisor.is_whole for node in nodes)

    def _start_front(self) -> None:
        state = self._settings.state.resolve()
        nodes = {name: self._addresses(name, pool) for name, pool in self._described.pools.items()}
        bare = FrontSettings(
            listen=f"{self._settings.host}:{self._settings.http_port}",
            folder=state / "front",
            error_log=state / "front.log",
            pools={name: tuple(node.http for node in addresses) for name, addresses in nodes.items()},
            user=workers_user(state),
            workers=self._settings.workers,
            answer_seconds=round(2 * self._settings.load_deadline) + 40,
            spares_connections=spares_connections(nginx_binary()),
        )
        front = marked(routed(bare, self._described))
        configuration = write_front(front)
        self._front = Supervisor(
            [
                Process(
                    name="front",
                    command=command(front, configuration),
                    log=front.error_log,
                    ready_url=f"http://{front.listen}/.configuration",
                    grace_seconds=5.0,
                )
            ],
            self._progress,
            self._told_to_stop,
        )
        self._front.start()
        write_running(state, RunningFleet(bare, nodes))

    def _addresses(self, name: str, pool: Pool) -> tuple[NodeAddress, ...]:
        if isinstance(pool.nodes, int):
            return tuple(NodeAddress(node.at.http, node.at.admin) for node in self.nodes[name])
        return tuple(NodeAddress(address) for address in pool.nodes)


def write_running(state: Path, running: RunningFleet) -> None:
    """Say in `state` what runs."""
    front = {**asdict(running.front), "folder": str(running.front.folder), "error_log": str(running.front.error_log)}
    nodes = {name: [asdict(node) for node in each] for name, each in running.nodes.items()}
    (state / _NAME).write_text(json.dumps({"front": front, "nodes": nodes}, indent=1) + "\n")


def read_running(state: Path) -> RunningFleet | None:
    """The fleet that runs from this state folder, or None."""
    try:
        found = json.loads((state / _NAME).read_text())
    except FileNotFoundError:
        return None
    folders = {name: Path(found["front"][name]) for name in ("folder", "error_log")}
    nodes = {name: tuple(NodeAddress(**node) for node in each) for name, each in found["nodes"].items()}
    return RunningFleet(FrontSettings(**{**found["front"], **folders}), nodes)
