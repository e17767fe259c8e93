"""Calls at a steady rate while parts of a node die, and what brings the parts back."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import numpy as np
import pytest

from loadtests.kserve import HEADER_LENGTH, CallFailedError, binary_request, infer_path, read_binary_answer
from tests.models import Trained
from tools import backoff
from tools.catalog.tenant import TenantId
from tools.stack import Node

ROWS = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """One call. `asked` is of the monotonic clock; status 0 means that no answer came, and `error` says why."""

    tenant: str
    asked: float
    seconds: float
    status: int
    right: bool = False
    retry_after: str | None = None
    error: str = ""


class Steady:
    """While entered, `rate` calls a second of `tenants` in turn, sent when they are due whatever became of the others.

    Nothing is retried. Every answer is held against XGBoost's.
    """

    def __init__(self, address: str, models: Mapping[str, Trained], tenants: Sequence[str], rate: float) -> None:
        self._address = address
        self._calls = {tenant: _Expected(models[tenant]) for tenant in tenants}
        self._tenants = list(tenants)
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="steady")
        self.replies: list[Reply] = []

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: len(self.replies) >= len(self._tenants))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def failed(self) -> list[Reply]:
        """The calls that were not answered with 200."""
        return [reply for reply in self.replies if reply.status != 200]

    @property
    def wrong(self) -> list[Reply]:
        """The calls that were answered with 200 and a wrong number."""
        return [reply for reply in self.replies if reply.status == 200 and not reply.right]

    async def _run(self) -> None:
        # Without a pool that waits: a call that is due is sent.
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as calls:
            began, number = time.monotonic(), 0
            while not self._stop.is_set():
                calls.create_task(self._call(session, self._tenants[number % len(self._tenants)]))
                number += 1
                await asyncio.sleep(max(0.0, began + number / self._rate - time.monotonic()))

    async def _call(self, session: aiohttp.ClientSession, tenant: str) -> None:
        expected, asked = self._calls[tenant], time.monotonic()
        url = f"http://{self._address}{infer_path(TenantId(tenant))}"
        try:
            async with session.post(url, data=expected.request.body, headers=expected.request.headers) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.replies.append(Reply(tenant, asked, time.monotonic() - asked, 0, error=repr(error)))
            return
        seconds = time.monotonic() - asked
        right = response.status == 200 and expected.agrees(body, int(response.headers.get(HEADER_LENGTH, "0")))
        after, text = response.headers.get("Retry-After"), "" if right else body[:200].decode(errors="replace")
        self.replies.append(Reply(tenant, asked, seconds, response.status, right, after, text))


class _Expected:
    def __init__(self, model: Trained) -> None:
        rows = model.rows[:ROWS]
        self.request = binary_request(rows)
        self._answer = model.expected(rows)

    def agrees(self, body: bytes, header_length: int) -> bool:
        try:
            answer = read_binary_answer(body, header_length)
        except CallFailedError:
            return False
        if answer.ndim == 2 and self._answer.ndim == 1:
            answer = answer[:, 1]
        return answer.shape == self._answer.shape and bool(np.allclose(answer, self._answer, atol=1e-5, rtol=1e-6))


class Mender:
    """While entered, what dies is started again, as by `orchard up`, but without longer pauses for what often dies.

    To be entered for as long as the node runs: children end with the thread that has started them.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._done = threading.Event()
        self._idle = threading.Lock()
        self._changed = pytest.MonkeyPatch()
        self._thread = threading.Thread(target=self._run, name="mender")

    def __enter__(self) -> Self:
        self._changed.setattr(backoff, "HEALTHY_SECONDS", 0.0)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        self._changed.undo()

    def kill(self, part: str) -> None:
        """End a part of the node by SIGKILL, and return once it is dead."""
        pid = self._node.pid(part)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _is_alive(pid))

    @contextmanager
    def away(self) -> Iterator[None]:
        """While the block runs, what dies stays dead."""
        with self._idle:
            yield

    def wait_whole(self) -> None:
        """Return once all parts are ready, those that have just died too."""
        with self._idle:
            self._node.mend()
        wait_until(lambda: self._node.supervisor.is_whole)

    def _run(self) -> None:
        while not self._done.wait(0.02):
            with self._idle:
                self._node.mend()


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Return once it holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    """Whether any thread of it is left: the first may have ended, and others still hold its ports."""
    try:
        threads = [path.joinpath("stat").read_text() for path in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return False
    return any(thread.rpartition(")")[2].split()[0] not in ("Z", "X") for thread in threads)
