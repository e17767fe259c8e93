"""One node that everything in this folder is thrown at, and that has to come out of each test unharmed."""

import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.fronts import Reply, request
from tests.integration.orchard import Orchard, settings_for
from tests.models import train
from tools.stack import Node

PARTS = ("triton", "sidecar", "nginx")
# A 4xx, or where HTTP has a better word: a method, an encoding or a version that is not known at all.
# Not 429: a call that was not looked at says nothing.
REFUSALS = {*range(400, 429), *range(430, 500), 501, 505}
ANSWER_SECONDS = 10.0


@dataclass(slots=True)
class Target:
    """A node with the tenants `warm`, which is in memory, and `cold`, which must not get there by a wrong call."""

    orchard: Orchard
    right_cold_calls: int = 0

    def post(self, tenant: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """A KServe call."""
        return self.send("POST", f"/v2/models/{tenant}/infer", body, headers, is_cold=tenant == "cold")

    def invoke(self, tenant: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """A call of the SageMaker runtime API; `tenant` is sent as the target model, however odd."""
        sent = {"X-Amzn-SageMaker-Target-Model": tenant, **(headers or {})}
        return self.send("POST", "/endpoints/any/invocations", body, sent, is_cold="cold" in tenant)

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None, is_cold: bool = False
    ) -> Reply:
        """One request on a connection of its own. A damaged one may turn out to be right, and load `cold` then."""
        reply = request(self.orchard.node.at.http, method, path, body, headers)
        if is_cold and reply.status == 200:
            self.right_cold_calls += 1
            self.orchard.unload("cold")
        return reply

    def send_raw(self, sent: bytes) -> list[Reply]:
        """Bytes that may be no HTTP, on a connection of their own. Returns every answer until the front closes."""
        host, port = self.orchard.node.at.http.split(":")
        with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
            with suppress(ConnectionError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            return list(_answers(connection))

    def pids(self) -> list[int]:
        """Of Triton, the sidecar and nginx."""
        return [self.orchard.node.pid(part) for part in PARTS]

    def seen_by_triton(self) -> set[str]:
        """Every model that Triton was ever told to load, as its log has it."""
        return set(re.findall(r'"loading: ([^:"]+):', self.orchard.node.log("triton").read_text()))


def _answers(connection: socket.socket) -> Iterator[Reply]:
    with suppress(ConnectionError, http.client.BadStatusLine):
        while True:
            response = http.client.HTTPResponse(connection)
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            yield Reply(response.status, headers, response.read())
            if response.will_close:
                return


def peak_memory(pid: int) -> int:
    """The most memory a process has ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))


def message_of(reply: Reply) -> str:
    """What a refusal says, in KServe's words or the runtime API's."""
    answer = json.loads(reply.body)
    message = answer.get("error") or answer.get("Message")
    assert isinstance(message, str)
    assert message
    return message


def assert_refused(reply: Reply, what: object = "") -> None:
    """A status that says whose fault it is, and a message."""
    assert reply.status in REFUSALS, f"{what}: {reply.status} {reply.body[:300]!r}"
    message_of(reply)


def assert_refused_or_right(reply: Reply, what: object = "") -> None:
    """As `assert_refused`, for calls that may have stayed right."""
    if reply.status != 200:
        assert_refused(reply, what)


@pytest.fixture(scope="session")
def _target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("hostile")
    with Node(settings_for(folder)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(warm=train("binary:logistic"), cold=train("binary:logistic"))
        orchard.check("warm")
        yield Target(orchard)


@pytest.fixture
def target(_target: Target) -> Iterator[Target]:
    """The node; afterwards, that no part of it has died, no wrong call has loaded anything and `warm` answers right."""
    before = _target.pids(), _target.orchard.loads() - _target.right_cold_calls
    yield _target
    residents = _target.orchard.residents()
    if "cold" in residents:
        _target.orchard.unload("cold")  # or every test that follows would fail, too
    assert (_target.pids(), _target.orchard.loads() - _target.right_cold_calls) == before
    assert _target.seen_by_triton() <= {"warm", "cold"}
    assert residents == {"warm"}
    _target.orchard.check("warm")
