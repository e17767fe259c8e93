"""A sidecar's place taken by a server that writes down what it is asked: for tests of the front alone."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say next, after `delay` seconds."""

    status: int = 200
    body: bytes = b'{"from": "sidecar"}'
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    delay: float = 0.0


class StandIn:
    """Listens on a port of its own choice. Set `answer`; read `seen`.

    `answered` counts answers; `abandoned` counts those due when whoever asked had closed the connection already.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.reset()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                digest = hashlib.sha256(body).hexdigest()
                stand_in.seen.append(Seen(self.command, self.path, headers, len(body), digest))
                answer = stand_in.answer
                time.sleep(answer.delay)
                stand_in.abandoned += self._left()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                stand_in.answered += 1

            def _left(self) -> bool:
                try:
                    return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return False

            do_GET = do_POST = handle_any  # noqa: N815 - the names http.server calls

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def reset(self) -> None:
        """Forget what was seen and answer as at first."""
        self.answer = Answer()
        self.answered = 0
        self.abandoned = 0
        self.seen.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def error_of(body: bytes) -> str:
    """The message of a KServe error body: exactly one key, `error`, with some text."""
    answer = json.loads(body)
    assert list(answer) == ["error"]
    message = answer["error"]
    assert isinstance(message, str)
    assert message
    return message
