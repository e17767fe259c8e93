"""One node on this machine: Triton, the sidecar and the front, as processes of one supervisor."""

import fcntl
import grp
import json
import os
import pwd
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from tools.access.certificates import Certificate
from tools.access.keys import read_keys
from tools.access.limits import Limits, write_limits
from tools.eviction.named import DEFAULT_POLICY, PolicyName
from tools.eviction.victims import MINIMUM_RESIDENCE
from tools.gateway import GatewaySettings, find_scripting, nginx_binary, render, render_keys, spares_connections
from tools.process import Process
from tools.restarts import RestartRequests
from tools.supervisor import Supervisor

LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]
# Below the range from which the kernel takes the ports of outgoing connections.
_FREE_PORTS = range(20_000, 32_000)
_POLL_SECONDS = 0.05
PARTS = ("triton", "sidecar", "nginx")
# Of the settings, what `node.json` tells.
_DESCRIBED = ("store", "repository", "memory_budget", "disk_budget")


class NodeRunningError(RuntimeError):
    """Another node uses this state folder."""


class PortTakenError(RuntimeError):
    """A public port is in use. The message names it."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """A node as its user describes it.

    `store` is a folder or s3://bucket/prefix. Ports of 0 are picked free. Budgets are bytes, or text as "512MiB".
    `state` holds logs, nginx's files, node.json and usage.json; `repository` is Triton's, the disk tier. Above
    `memory_high` of what Triton may use, `memory_limit` or less, models are evicted down to `memory_low`. Without the
    file `api_keys` anybody may call. For the bounds on clients see `GatewaySettings`.
    """

    store: str
    state: Path = Path(".orchard")
    repository: Path = Path("model_repository")
    host: str = LOOPBACK
    http_port: int = 8000
    grpc_port: int = 8001
    admin_port: int = 8080
    memory_budget: str | int = "2GiB"
    disk_budget: str | int = "20GiB"
    parallel_loads: int = 4
    load_deadline: float = 30.0
    cold_queue: int = 1000
    minimum_residence: float = MINIMUM_RESIDENCE
    memory_limit: str | int = ""
    memory_high: str = "85%"
    memory_low: str = "75%"
    update_interval: float = 30.0
    pinned: tuple[str, ...] = ()
    policy: PolicyName = DEFAULT_POLICY
    warm_schedule: str = ""
    workers: int = 1
    access_log: bool = False
    cpus: frozenset[int] = frozenset()
    limits: Limits = field(default_factory=Limits)
    client_seconds: int = 10
    requests_per_address: int = 1024
    api_keys: Path | None = None
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a node's parts listen, each host:port. All but `http` and `grpc` are on loopback, whatever the host."""

    http: str
    grpc: str
    admin: str
    triton_http: str
    triton_grpc: str
    sidecar_http: str

    @classmethod
    def choose(cls, settings: NodeSettings) -> "Addresses":
        """The public ports of `settings`, and free ones for the rest.

        Raises:
            PortTakenError: a port that was asked for is in use.
        """
        asked = (
            (settings.host, settings.http_port),
            (settings.host, settings.grpc_port),
            (LOOPBACK, settings.admin_port),
        )
        for host, port in asked:
            if port and not is_free(host, port):
                raise PortTakenError(f"port {port} of {host} is in use: stop what uses it, or choose another")
        free = iter(free_ports(6, settings.host))
        chosen = [f"{host}:{port or next(free)}" for host, port in asked]
        return cls(*chosen, *(f"{LOOPBACK}:{next(free)}" for _ in range(3)))


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """`count` different ports that nothing listens on at this moment."""
    picked: set[int] = set()
    while len(picked) < count:
        port = random.choice(_FREE_PORTS)
        if is_free(host, port):
            picked.add(port)
    return list(picked)


def triton(log: Path, repository: Path, http: str, grpc: str, parallel_loads: int = 4) -> Process:
    """tritonserver, by the one description of how it is started."""
    return Process(
        name="triton",
        command=("sh", str(ROOT / "triton" / "server" / "launch.sh")),
        log=log,
        ready_url=f"http://{http}/v2/health/ready",
        environment={
            "MODEL_REPOSITORY": str(repository.resolve()),
            "TRITON_HTTP": http,
            "TRITON_GRPC": grpc,
            "TRITON_LOAD_THREADS": str(parallel_loads),
            "PYTHON": sys.executable,
        },
    )


def sidecar(log: Path, settings: NodeSettings, at: Addresses) -> Process:
    """The sidecar, told everything through its environment."""
    return Process(
        name="sidecar",
        command=(sys.executable, "-m", "sidecar"),
        log=log,
        ready_url=f"http://{at.admin}/ping",
        environment={
            "ORCHARD_STORE": settings.store,
            "ORCHARD_REPOSITORY": str(settings.repository.resolve()),
            "ORCHARD_TRITON_HTTP": at.triton_http,
            "ORCHARD_TRITON_GRPC": at.triton_grpc,
            "ORCHARD_HTTP": at.sidecar_http,
            "ORCHARD_GRPC": at.grpc,
            "ORCHARD_ADMIN": at.admin,
            "ORCHARD_MEMORY_BUDGET": str(settings.memory_budget),
            "ORCHARD_DISK_BUDGET": str(settings.disk_budget),
            "ORCHARD_PARALLEL_LOADS": str(settings.parallel_loads),
            "ORCHARD_LOAD_DEADLINE": str(settings.load_deadline),
            "ORCHARD_COLD_QUEUE": str(settings.cold_queue),
            "ORCHARD_MINIMUM_RESIDENCE": str(settings.minimum_residence),
            "ORCHARD_MEMORY_LIMIT": str(settings.memory_limit),
            "ORCHARD_MEMORY_HIGH": settings.memory_high,
            "ORCHARD_MEMORY_LOW": settings.memory_low,
            "ORCHARD_UPDATE_INTERVAL": str(settings.update_interval),
            "ORCHARD_PINNED": ",".join(settings.pinned),
            "ORCHARD_POLICY": settings.policy,
            "ORCHARD_USAGE": str(settings.state.resolve() / "usage.json"),
            "ORCHARD_WARM_SCHEDULE": settings.warm_schedule,
            "ORCHARD_FRONT_LOG": str(_calls_log(settings.state)),
            "ORCHARD_LIMITS": str(_limits_file(settings.state)),
            "ORCHARD_API_KEYS": str(settings.api_keys.resolve()) if settings.api_keys else "",
            "ORCHARD_CERTIFICATE": str(settings.certificate.chain) if settings.certificate else "",
            "ORCHARD_CERTIFICATE_KEY": str(settings.certificate.key) if settings.certificate else "",
        },
    )


def nginx(front: GatewaySettings) -> Process:
    """nginx in the foreground, with its configuration written to the front's folder."""
    front.folder.mkdir(parents=True, exist_ok=True)
    configuration = front.folder / "nginx.conf"
    configuration.write_text(render(front))
    files = ("-p", str(front.folder), "-e", str(front.error_log), "-c", str(configuration))
    return Process(
        name="nginx",
        command=(str(nginx_binary()), *files),
        log=front.error_log,
        # Its own answer: whether Triton is there is not nginx's to say. Where it speaks HTTPS, it refuses this.
        ready_url=f"http://{front.listen}/",
        ready_status=400 if front.certificate else 404,
        # SIGQUIT lets requests in flight finish.
        stop_signal=signal.SIGQUIT,
        # New workers take over the listening sockets, so that no connection is refused.
        reload_signal=signal.SIGHUP,
        grace_seconds=5.0,
    )


class Node:
    """A running node: `with Node(NodeSettings(store="store")) as node: node.watch()`.

    A part that dies is brought back by `watch`, or by `mend` called again and again; without them it stays dead.

    Raises (on entering):
        NodeRunningError: another node uses the state folder.
        PortTakenError: a public port is in use.
        BadKeysError: the file of API keys cannot be used.
        ScriptingMissingError: there is one, and nginx cannot check keys.
        ChildDiedError, NotReadyError, StoppedError: a part did not come up.
    """

    def __init__(
        self,
        settings: NodeSettings,
        progress: Callable[[str], None] = lambda _: None,
        told_to_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.settings = settings
        self._progress = progress
        self._told_to_stop = told_to_stop
        self._lock: TextIO | None = None
        self._restarting = set[str]()

    def start(self) -> None:
        """Start all parts and return when all answer."""
        state = self.settings.state.resolve()
        state.mkdir(parents=True, exist_ok=True)
        self.settings.repository.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(state)
        try:
            self.at = Addresses.choose(self.settings)
            processes = [
                replace(process, cpus=self.settings.cpus) for process in _processes(self.settings, self.at, state)
            ]
            self.supervisor = Supervisor(
                processes, self._progress, self._told_to_stop, on_change=lambda: self._describe(state)
            )
            self._restarts = RestartRequests(state)
            for part in PARTS:
                self._restarts.met(part)
            self.supervisor.start()
            self._describe(state)
        except BaseException:
            self._lock.close()
            raise

    def watch(self) -> None:
        """Until told to stop, bring back what dies, and restart what `orchard restart` asks for."""
        while not self._told_to_stop():
            self.mend()
            time.sleep(_POLL_SECONDS)

    def mend(self) -> None:
        """One look at all parts, and at what is asked for. Never waits."""
        asked = self._restarts.asked(PARTS)
        for part in asked - self._restarting:
            self.supervisor.restart(part)
        self._restarting |= asked
        self.supervisor.mend()
        for part in tuple(self._restarting):
            if self.supervisor.is_ready(part):
                self._restarting.discard(part)
                self._restarts.met(part)

    def stop(self) -> None:
        """Stop all parts; requests in flight get a few seconds to finish."""
        (self.settings.state / "node.json").unlink(missing_ok=True)
        self.supervisor.stop()
        if self._lock is not None:
            self._lock.close()

    def pid(self, part: str) -> int:
        """The process id of "triton", "sidecar" or "nginx"."""
        return self.supervisor.pids()[part]

    def log(self, part: str) -> Path:
        """The log file of a part."""
        return _logs(self.settings.state) / f"{part}.log"

    @property
    def http_url(self) -> str:
        """The public HTTP address, as http://host:port, or https:// with a certificate."""
        return f"{'https' if self.settings.certificate else 'http'}://{self.at.http}"

    @property
    def grpc_address(self) -> str:
        """The public gRPC address, as host:port."""
        return self.at.grpc

    @property
    def admin_url(self) -> str:
        """The admin address, as http://host:port. Never public."""
        return f"http://{self.at.admin}"

    @property
    def triton_http(self) -> str:
        """Triton's own HTTP address, as host:port: behind the front, for measurements and tests."""
        return self.at.triton_http

    @property
    def triton_grpc(self) -> str:
        """Triton's own gRPC address, as host:port."""
        return self.at.triton_grpc

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _describe(self, state: Path) -> None:
        keys = self.settings.api_keys
        description = {
            "pid": os.getpid(),
            "addresses": asdict(self.at),
            "pids": self.supervisor.pids(),
            "settings": {name: str(getattr(self.settings, name)) for name in _DESCRIBED},
            "api_keys": str(keys.resolve()) if keys else None,
        }
        part = state / "node.json.part"
        part.write_text(json.dumps(description, indent=1) + "\n")
        part.replace(state / "node.json")


def running_addresses(state: Path) -> Addresses | None:
    """Where the node of this state folder listens, or None when none is running."""
    try:
        return Addresses(**json.loads((state / "node.json").read_text())["addresses"])
    except FileNotFoundError:
        return None


def reload_keys(state: Path, file: Path) -> bool:
    """Have the node of this state folder take up its changed file of keys; False when it runs without that file.

    Raises:
        BadKeysError: the file cannot be used; the keys before the change still are.
    """
    try:
        keys = json.loads((state / "node.json").read_text())["api_keys"]
        if keys is None or Path(keys) != file.resolve():
            return False
        _write_keys_map(state, file)
        os.kill(int((state / "nginx" / "nginx.pid").read_text()), signal.SIGHUP)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True


def running_settings(settings: NodeSettings) -> NodeSettings:
    """`settings` with the store, the repository and the budgets of the node that runs from their state folder."""
    described = json.loads((settings.state / "node.json").read_text())["settings"]
    return replace(settings, **{**described, "repository": Path(described["repository"])})


def is_running(state: Path) -> bool:
    """Whether a node runs from this state folder now."""
    try:
        _lock(state).close()
    except NodeRunningError:
        return True
    except FileNotFoundError:
        pass
    return False


def _processes(settings: NodeSettings, at: Addresses, state: Path) -> list[Process]:
    logs = _logs(state)
    write_limits(_limits_file(state), settings.limits)
    front = GatewaySettings(
        listen=at.http,
        triton=at.triton_http,
        sidecar=at.sidecar_http,
        folder=state / "nginx",
        error_log=logs / "nginx.log",
        access_log=logs / "access.log" if settings.access_log else None,
        calls_log=_calls_log(state),
        user=workers_user(state),
        workers=settings.workers,
        scripting=find_scripting(nginx_binary()),
        spares_connections=spares_connections(nginx_binary()),
        # The sidecar may queue a load for as long as it may then take.
        answer_seconds=round(2 * settings.load_deadline) + 30,
        limits=settings.limits,
        client_seconds=settings.client_seconds,
        requests_per_address=settings.requests_per_address,
        keys_map=_write_keys_map(state, settings.api_keys) if settings.api_keys else None,
        certificate=settings.certificate,
    )
    return [
        triton(logs / "triton.log", settings.repository, at.triton_http, at.triton_grpc, settings.parallel_loads),
        sidecar(logs / "sidecar.log", settings, at),
        nginx(front),
    ]


def _write_keys_map(state: Path, file: Path) -> Path:
    """What nginx reads in place of the file of keys."""
    written = state / "nginx" / "keys.conf"
    written.parent.mkdir(parents=True, exist_ok=True)
    part = written.with_suffix(".part")
    part.write_text(render_keys(read_keys(file)))
    return part.replace(written)


def workers_user(folder: Path) -> str | None:
    """nginx's `user`: started as root its workers must be able to read `folder`, so they run as its owner."""
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    return f"{pwd.getpwuid(owner.st_uid).pw_name} {grp.getgrgid(owner.st_gid).gr_name}"


def _logs(state: Path) -> Path:
    return state.resolve() / "logs"


def _limits_file(state: Path) -> Path:
    return state.resolve() / "limits.yaml"


def _calls_log(state: Path) -> Path:
    """What nginx writes and the sidecar reads: not for people."""
    return state.resolve() / "nginx" / "calls.log"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _lock(state: Path) -> TextIO:
    """Hold the folder for as long as this process lives, however it ends."""
    lock = (state / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise NodeRunningError(
            f"a node is already running from {state}: stop it, or use another state folder"
        ) from None
    return lock
