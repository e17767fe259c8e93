"""nginx alone, between any Triton and any sidecar, and plain requests to it."""

import http.client
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.standin import StandIn
from tools import node_parts, ports
from tools.access.keys import ApiKey
from tools.access.limits import NO_LIMITS
from tools.gateway import GatewaySettings, find_scripting, nginx_binary, render_keys
from tools.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Front:
    """A running nginx. `address` is host:port."""

    address: str
    folder: Path
    sidecar: StandIn

    def open_files(self) -> list[str]:
        """What nginx's workers have open. Its temporary files have no name on disk any more."""
        master = (self.folder / "nginx.pid").read_text().strip()
        workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return [str(entry.readlink()) for worker in workers for entry in Path(f"/proc/{worker}/fd").iterdir()]

    def connect(self, timeout: float = 30.0) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection(self.address, timeout=timeout)

    def get(self, path: str) -> Reply:
        """One GET on a connection of its own."""
        return request(self.address, "GET", path)

    def post(self, path: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> Reply:
        """One POST on a connection of its own."""
        return request(self.address, "POST", path, body, headers)


def request(
    address: str, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """One request on a connection of its own. The path is sent as it is given, however odd."""
    connection = http.client.HTTPConnection(address, timeout=30.0)
    try:
        connection.request(method, path, body, dict(headers or {}))
        return read_reply(connection)
    finally:
        connection.close()


def read_reply(connection: http.client.HTTPConnection) -> Reply:
    """The answer to the request just sent."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Reply(response.status, headers, response.read())


@contextmanager
def run_front(
    folder: Path,
    triton: str,
    sidecar: StandIn,
    answer_seconds: int = 90,
    keys: Iterable[ApiKey] | None = None,
    requests_per_address: int = 1024,
) -> Iterator[Front]:
    """nginx in `folder`, in front of `triton` (host:port) and `sidecar`; with `keys`, for those who have one."""
    if keys is not None:
        (folder / "keys.conf").write_text(render_keys(keys))
    (port,) = ports.free_ports(1)
    address = f"127.0.0.1:{port}"
    settings = GatewaySettings(
        listen=address,
        triton=triton,
        sidecar=sidecar.address,
        folder=folder,
        error_log=folder / "error.log",
        user=node_parts.workers_user(folder),
        answer_seconds=answer_seconds,
        scripting=None if keys is None else find_scripting(nginx_binary()),
        keys_map=None if keys is None else folder / "keys.conf",
        limits=NO_LIMITS,
        requests_per_address=requests_per_address,
    )
    with Supervisor([node_parts.nginx(settings)]):
        yield Front(address, folder, sidecar)
