"""Clients that hold connections without using them are cut, and nobody else notices."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.fronts import run_front
from tests.integration.orchard import Orchard, settings_for
from tests.integration.standin import Answer, StandIn, error_of
from tests.models import train
from tools.ports import free_ports
from tools.stack import Node

SECONDS = 2
MANY = 100


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("slow")
    with Node(settings_for(folder, client_seconds=SECONDS)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(quiet=train("binary:logistic"))
        orchard.check("quiet")
        yield orchard


def test_headers_that_drip_in_are_cut_and_others_are_answered_meanwhile(orchard: Orchard) -> None:
    began = time.monotonic()
    clients = [_connect(orchard, b"POST /v2/models/quiet/infer HTTP/1.1\r\nHost: x\r\n") for _ in range(MANY)]
    with _Dripping(clients, b"X-More: 1\r\n"):
        for _ in range(20):
            orchard.check("quiet")
        # However it drips, a request's head has to be there in time.
        _await(lambda: all(_is_cut(client) for client in clients), 10 * SECONDS)
    assert time.monotonic() - began >= SECONDS * 0.9
    orchard.check("quiet")


def test_a_body_that_does_not_come_is_cut_and_others_are_answered_meanwhile(orchard: Orchard) -> None:
    head = b"POST /v2/models/quiet/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"
    clients = [_connect(orchard, head) for _ in range(MANY)]
    for _ in range(20):
        orchard.check("quiet")
    _await(lambda: all(_is_cut(client) for client in clients), 10 * SECONDS)
    orchard.check("quiet")


def test_a_client_that_says_nothing_at_all_is_cut(orchard: Orchard) -> None:
    clients = [_connect(orchard, b"") for _ in range(MANY)]
    _await(lambda: all(_is_cut(client) for client in clients), 10 * SECONDS)


def test_a_client_that_does_not_read_is_cut(orchard: Orchard) -> None:
    host, _, port = orchard.node.at.http.partition(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.settimeout(1)
    call = b"GET /v2/models/quiet/config HTTP/1.1\r\nHost: x\r\n\r\n"

    def is_cut() -> bool:
        try:
            client.sendall(call * 1000)
        except TimeoutError:
            return False
        except OSError:
            return True
        return False

    _await(is_cut, 30 * SECONDS)
    orchard.check("quiet")


def test_one_address_has_so_many_requests_under_way_and_no_more(tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    with (
        StandIn() as sidecar,
        run_front(tmp_path, f"127.0.0.1:{nobody}", sidecar, requests_per_address=3) as front,
        ThreadPoolExecutor(8) as pool,
    ):
        sidecar.answer = Answer(delay=2.0)
        replies = list(pool.map(lambda number: front.post(f"/v2/models/m{number}/infer"), range(8)))
        assert Counter(reply.status for reply in replies) == {200: 3, 429: 5}
        refused = next(reply for reply in replies if reply.status == 429)
        assert "this address" in error_of(refused.body)
        assert refused.headers["retry-after"] == "1"
        assert front.post("/v2/models/m1/infer").status == 200


class _Dripping:
    """Sends each client a little every now and then, while the block runs."""

    def __init__(self, clients: list[socket.socket], drop: bytes) -> None:
        self._clients, self._drop = clients, drop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.3):
            for client in self._clients:
                try:
                    client.send(self._drop)
                except OSError:
                    continue


def _connect(orchard: Orchard, start: bytes) -> socket.socket:
    host, _, port = orchard.node.at.http.partition(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(start)
    client.setblocking(False)
    return client


def _is_cut(client: socket.socket) -> bool:
    try:
        while client.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _await(is_so: Callable[[], bool], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.05)
