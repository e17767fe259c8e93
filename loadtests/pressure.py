"""Clients that call a node over and over while something is done to it, and keep every reply."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from loadtests.background import Background
from loadtests.fraud_data import Floats
from loadtests.kserve import BinaryRequest, CallFailedError, HttpCaller, binary_request
from tools.catalog.tenant import TenantId


@dataclass(frozen=True, slots=True)
class Reply:
    """One call. `asked` and `answered` are of the monotonic clock; status 0 means that no answer came.

    `output` is there with status 200, `error` says what came otherwise. `retry_after` is in seconds.
    """

    tenant: TenantId
    asked: float
    answered: float
    status: int
    output: Floats | None = None
    retry_after: int | None = None
    error: str = ""

    @property
    def seconds(self) -> float:
        return self.answered - self.asked


class Pressure(Background):
    """While entered, `threads` clients of `address` ask about `rows`, each of tenants that `choose` picks for it."""

    def __init__(
        self, address: str, rows: Floats, choose: Callable[[random.Random], TenantId], threads: int = 4
    ) -> None:
        super().__init__("pressure", threads)
        self._address = address
        self._request = binary_request(rows)
        self._choose = choose
        self.replies: list[Reply] = []

    def _work(self, number: int) -> None:
        draw, caller = random.Random(number), HttpCaller(self._address)
        while not self._stop.is_set():
            self.replies.append(ask(caller, self._choose(draw), self._request))
        caller.close()


def ask(caller: HttpCaller, tenant: TenantId, request: BinaryRequest) -> Reply:
    """One call, and whatever came of it."""
    asked = time.monotonic()
    try:
        response = caller.exchange(tenant, request)
        answered = time.monotonic()
        if response.status == 200:
            return Reply(tenant, asked, answered, 200, response.answer().output)
    except CallFailedError as error:
        return Reply(tenant, asked, time.monotonic(), 0, error=str(error))
    after = response.headers.get("Retry-After")
    error_text = response.body[:300].decode(errors="replace")
    return Reply(tenant, asked, answered, response.status, None, int(after) if after else None, error_text)
