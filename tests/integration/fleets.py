"""Fleets of real nodes on this machine, and callers that keep calling them."""

import http.client
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests

from loadtests.kserve import CallFailedError, HttpCaller
from tests.integration.orchard import settings_for
from tests.models import Trained
from tools.catalog.tenant import tenant_id
from tools.fleet.description import FleetDescription, parse_fleet
from tools.fleet.running import Fleet
from tools.stack import Node


@contextmanager
def running_fleet(folder: Path, pools: dict[str, Any], **parts: Any) -> Iterator[Fleet]:
    """A fleet on the store that `settings_for` gives; `parts` are the fleet file's, and settings of its nodes."""
    settings = {name: parts.pop(name) for name in ("policy", "api_keys") if name in parts}
    with Fleet(describe(pools, **parts), settings_for(folder, **settings)) as fleet:
        yield fleet


def describe(pools: dict[str, Any], **parts: Any) -> FleetDescription:
    """A fleet file's content, checked."""
    return parse_fleet({"pools": pools, **parts})


def address(fleet: Fleet) -> str:
    """host:port of the front."""
    return fleet.http_url.removeprefix("http://")


def status(node: Node) -> dict[str, Any]:
    """What the node's admin port says."""
    found: dict[str, Any] = requests.get(f"{node.admin_url}/status", timeout=10).json()
    return found


def residents(node: Node) -> set[str]:
    """The tenants in the node's memory."""
    return {slot["tenant"] for slot in status(node)["tenants"] if slot["state"] == "resident"}


def kill_node(node: Node) -> None:
    """All at once, as when a machine loses power. Its ports refuse connections from now on."""
    for part in ("nginx", "sidecar", "triton"):
        os.killpg(node.pid(part), signal.SIGKILL)


@dataclass
class Calls:
    """What became of the calls of `calling`."""

    right: int = 0
    problems: list[str] = field(default_factory=list)

    def await_more(self, count: int) -> None:
        """Wait for `count` more right answers."""
        enough, give_up = self.right + count, time.monotonic() + 60
        while self.right < enough:
            assert time.monotonic() < give_up, self.problems[:3]
            time.sleep(0.02)


@contextmanager
def calling(front: str, models: dict[str, Trained], tenants: Sequence[str], callers: int = 3) -> Iterator[Calls]:
    """Call the tenants in turn over kept-alive connections, each answer checked, for as long as the block runs."""
    calls, stop, lock = Calls(), threading.Event(), threading.Lock()

    def work(number: int) -> None:
        caller = HttpCaller(front)
        for tenant in itertools.islice(itertools.cycle(tenants), number, None):
            if stop.is_set():
                break
            problem = ask(caller, models, tenant)
            with lock:
                if problem:
                    calls.problems.append(problem)
                else:
                    calls.right += 1
        caller.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield calls
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def ask(caller: HttpCaller, models: dict[str, Trained], tenant: str) -> str:
    """Call a tenant; returns what was wrong with the answer, or nothing."""
    rows = models[tenant].rows[:1]
    try:
        answer = caller.infer(tenant_id(tenant), rows).output[0, 1]
    except (CallFailedError, http.client.HTTPException) as error:
        return f"{tenant}: {error}"
    expected = models[tenant].expected(rows)[0]
    return "" if np.isclose(answer, expected, atol=1e-5) else f"{tenant}: {answer}, not {expected}"
