"""The link that makes a server on this machine as far away as the real one."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from loadtests.slow_link import SlowLink

BODY = bytes(range(256)) * 4096


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers one byte with BODY."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1)
                    connection.sendall(BODY)

        server = threading.Thread(target=serve)
        server.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
        server.join()


def ask(url: str) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rb") as answer:
        connection.sendall(b"?")
        return answer.read()


def test_what_comes_through_is_whole_and_takes_as_long_as_the_link_needs(port: int) -> None:
    with SlowLink(port, bytes_per_second=10e6) as link:
        began = time.monotonic()
        assert ask(link.url) == BODY
        assert time.monotonic() - began > 0.95 * len(BODY) / 10e6


def test_connections_share_the_link(port: int) -> None:
    with SlowLink(port, bytes_per_second=20e6) as link, ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        assert list(pool.map(ask, [link.url] * 3)) == [BODY] * 3
        assert time.monotonic() - began > 0.95 * 3 * len(BODY) / 20e6


def test_a_link_that_is_closed_ends_what_it_carries(port: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        with SlowLink(port, bytes_per_second=1e3) as link:
            asked = pool.submit(ask, link.url)
            time.sleep(0.1)
        assert len(asked.result(5)) < len(BODY)
