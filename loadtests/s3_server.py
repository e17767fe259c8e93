"""A real S3 server on a folder: `rclone serve s3`, on a free loopback port, for tests and load tests."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.ports import free_ports

ACCESS_KEY = "orchardkey"
SECRET_KEY = "orchardsecret"
BUCKET = "models"

_START_SECONDS = 20
_SETTINGS = ("AWS_", "ORCHARD_S3_")
_REQUEST = re.compile(
    r"serve s3: (?:"
    r"(?P<verb>GET|HEAD) OBJECT (?:Bucket: )?\S+ (?:Object: )?(?P<read>\S+)"
    r"|(?P<put>CREATE OBJECT): \S+ (?P<written>\S+)"
    r"|(?P<delete>DELETE): \S+ (?P<deleted>\S+)"
    r"|bucketname: \S+ prefix: prefix:\"(?P<listed>[^\"]*)\"(?P<list>)"
    r")"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request the server saw: GET, HEAD, PUT, DELETE or LIST, and the key (LIST: the prefix)."""

    verb: str
    key: str


class S3Server:
    """The server over `folder`, with one bucket, `BUCKET`. A context manager; `start` and `stop` may alternate.

    It is not quite S3: while an object is overwritten, readers get a few 500s, and with several writers of one
    object rarely a 404. (rclone's --vfs-cache-mode hides the former, and damages objects with several writers.)
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        [self._port] = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "rclone.log"
        self.objects = folder / "objects"
        (self.objects / BUCKET).mkdir(parents=True)

    @property
    def url(self) -> str:
        """The endpoint URL."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        return self._port

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a process finds this server and its keys, and nothing of the user's own."""
        return {
            "ORCHARD_S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @contextlib.contextmanager
    def found(self, endpoint_url: str | None = None) -> Iterator[None]:
        """Have this process, and those it starts, find the server: at `endpoint_url` if there is a link before it."""
        before = {name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)}
        try:
            _replace_settings({**self.environment, "ORCHARD_S3_ENDPOINT_URL": endpoint_url or self.url})
            yield
        finally:
            _replace_settings(before)

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        command = [_rclone(), "serve", "s3", str(self.objects), "--addr", f"127.0.0.1:{self._port}"]
        command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", os.devnull, "-vv"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        give_up = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise RuntimeError(f"rclone did not start:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End the server and wait for it."""
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End the server as a crash would."""
        self.stop(signal.SIGKILL)

    def freeze(self) -> None:
        """Make the server hang: connections are accepted by the system, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def requests(self) -> list[Request]:
        """Every request since the server first started, or since `forget_requests`."""
        found = (_REQUEST.search(line) for line in self._log.read_text().splitlines())
        return [_request(match) for match in found if match is not None]

    def forget_requests(self) -> None:
        """Start the list of requests anew."""
        os.truncate(self._log, 0)

    def __enter__(self) -> "S3Server":
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


def _replace_settings(settings: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        del os.environ[name]
    os.environ.update(settings)


def _request(match: re.Match[str]) -> Request:
    if match["put"]:
        return Request("PUT", match["written"])
    if match["delete"]:
        return Request("DELETE", match["deleted"])
    if match["list"] is not None:
        return Request("LIST", match["listed"])
    return Request(match["verb"], match["read"])


def _rclone() -> str:
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise RuntimeError("rclone is not installed: run make setup")
    return found
