"""One node on this machine: Triton, the sidecar and the front, as processes of one supervisor."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from tools.node_parts import PARTS, logs_folder, processes, write_keys_map
from tools.node_settings import Addresses, NodeSettings
from tools.restarts import RestartRequests
from tools.supervisor import Supervisor

_POLL_SECONDS = 0.05
# Of the settings, what `node.json` tells.
_DESCRIBED = ("store", "repository", "memory_budget", "disk_budget")


class NodeRunningError(RuntimeError):
    """Another node uses this state folder."""


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
            self.supervisor = Supervisor(
                processes(self.settings, self.at, state),
                self._progress,
                self._told_to_stop,
                on_change=lambda: self._describe(state),
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
        return logs_folder(self.settings.state) / f"{part}.log"

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
        write_keys_map(state, file)
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
