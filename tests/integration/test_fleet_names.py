"""Nodes that are names: the front takes up those that appear, and leaves those alone that are not there."""

import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tools.fleet.front import FrontSettings, command, render_front
from tools.gateway import nginx_binary, spares_connections
from tools.ports import free_ports

_LOOKED_UP_AGAIN = 15.0


class _Names:
    """A DNS server that knows the names in `known`, all on loopback, and no others (RFC 1035)."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        while True:
            asked, client = self._socket.recvfrom(512)
            end = asked.index(b"\0", 12) + 5
            question, labels, at = asked[12:end], [], 12
            while size := asked[at]:
                labels.append(asked[at + 1 : at + 1 + size].decode())
                at += 1 + size
            known = ".".join(labels) in self.known
            flags, answers = (b"\x81\x80", b"\0\1") if known else (b"\x81\x83", b"\0\0")
            record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1" if known else b""
            self._socket.sendto(asked[:2] + flags + b"\0\1" + answers + b"\0\0\0\0" + question + record, client)


@contextmanager
def _node(name: str) -> Iterator[int]:
    """Something that answers every call with its own name; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _who_answers(port: int) -> dict[str, str]:
    tenants = [f"t{number}" for number in range(60)]
    return {tenant: requests.get(f"http://127.0.0.1:{port}/v2/models/{tenant}", timeout=5).text for tenant in tenants}


@pytest.mark.skipif(not spares_connections(nginx_binary()), reason="this nginx cannot look names up while it runs")
def test_a_node_that_appears_gets_its_share_and_gives_it_back_when_it_goes(tmp_path: Path) -> None:
    names = _Names()
    with _node("first") as first, _node("second") as second, _node("third") as third:
        (port,) = free_ports(1)
        nodes = (f"node-0.orchard:{first}", f"node-1.orchard:{second}", f"node-2.orchard:{third}")
        front = FrontSettings(
            listen=f"127.0.0.1:{port}",
            folder=tmp_path,
            error_log=tmp_path / "front.log",
            pools={"shared": nodes},
            resolver=names.address,
        )
        names.known = {"node-0.orchard", "node-1.orchard"}
        (tmp_path / "nginx.conf").write_text(render_front(front))
        nginx = subprocess.Popen(command(front, tmp_path / "nginx.conf"))
        try:
            two = _once(port, {"first", "second"})
            names.known.add("node-2.orchard")
            three = _once(port, {"first", "second", "third"})
            names.known.remove("node-2.orchard")
            two_again = _once(port, {"first", "second"})
        finally:
            nginx.terminate()
            nginx.wait()
    moved = {tenant for tenant in two if two[tenant] != three[tenant]}
    assert {three[tenant] for tenant in moved} == {"third"}, "a node that came moved more than its share"
    assert 10 <= len(moved) <= 30, "of 60 tenants a third should move"
    assert two_again == two


def _once(port: int, expected: set[str]) -> dict[str, str]:
    """Who answers whom, once exactly the `expected` nodes do and it no longer changes."""
    give_up = time.monotonic() + _LOOKED_UP_AGAIN
    before: dict[str, str] = {}
    while True:
        try:
            answers = _who_answers(port)
        except requests.ConnectionError:
            answers = {}
        if set(answers.values()) == expected and answers == before:
            return answers
        assert time.monotonic() < give_up, Counter(answers.values())
        before = answers
        time.sleep(0.1)
