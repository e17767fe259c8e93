"""The front of several nodes: nginx's configuration, rendered, checked, and changed while it runs."""

import hashlib
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tools.catalog.tenant import TENANT_PATTERN, TenantId
from tools.fleet.description import SHARED, FleetDescription
from tools.gateway import MIB, TEMPLATES, nginx_binary

_RELOAD_SECONDS = 15


class FrontRefusedError(RuntimeError):
    """nginx would not take a configuration, or did not take it up. The one before it is still in use."""


@dataclass(frozen=True, slots=True)
class FrontSettings:
    """Where the front listens, and who serves whom.

    `listen` is host:port; `pools` gives the addresses of each pool's nodes, `homes` the pools of tenants that are not
    in the shared one, `copies` the nodes of tenants that have several. The rest is as in `GatewaySettings`. `mark`
    tells one configuration from another.
    """

    listen: str
    folder: Path
    error_log: Path
    pools: Mapping[str, Sequence[str]]
    homes: Mapping[TenantId, str] = field(default_factory=dict)
    copies: Mapping[TenantId, Sequence[str]] = field(default_factory=dict)
    user: str | None = None
    workers: int = 1
    connections: int = 4096
    keepalive: int = 128
    max_body_bytes: int = 64 * MIB
    answer_seconds: int = 120
    client_seconds: int = 10
    requests_per_address: int = 1024
    resolver: str | None = None
    spares_connections: bool = True
    mark: str = ""


def routed(front: FrontSettings, fleet: FleetDescription) -> FrontSettings:
    """`front` with the routes that `fleet` asks for."""
    shared = front.pools[SHARED]
    copies = {tenant: nodes_of(tenant, shared, count) for tenant, count in fleet.copies.items()}
    return replace(front, homes=dict(fleet.dedicated), copies=copies)


def nodes_of(tenant: TenantId, nodes: Sequence[str], count: int) -> tuple[str, ...]:
    """The `count` nodes that hold a tenant's copies, by highest random weight (Thaler and Ravishankar, 1998)."""
    return tuple(sorted(nodes, key=lambda node: hashlib.sha256(f"{node} {tenant}".encode()).digest())[:count])


def render_front(front: FrontSettings) -> str:
    """nginx's configuration file for `front`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    template = environment.get_template("fleet.conf.j2")
    return template.render(front=front, tenant_pattern=TENANT_PATTERN, shared=SHARED)


def marked(front: FrontSettings) -> FrontSettings:
    """`front` with a mark that is its own."""
    unmarked = render_front(replace(front, mark=""))
    return replace(front, mark=hashlib.sha256(unmarked.encode()).hexdigest()[:16])


def command(front: FrontSettings, configuration: Path, *options: str) -> tuple[str, ...]:
    """How nginx is started with a configuration file."""
    files = ("-p", str(front.folder), "-e", str(front.error_log), "-c", str(configuration))
    return (str(nginx_binary()), *options, *files)


def write_front(front: FrontSettings) -> Path:
    """Check the configuration with nginx itself, then put it in place; returns where it is.

    Raises:
        FrontRefusedError: nginx does not accept it; what was in place still is.
    """
    front.folder.mkdir(parents=True, exist_ok=True)
    candidate, configuration = front.folder / "nginx.conf.new", front.folder / "nginx.conf"
    candidate.write_text(render_front(front))
    checked = subprocess.run(command(front, candidate, "-t", "-q"), capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        raise FrontRefusedError(f"nginx does not accept the routes, which stay as they were: {checked.stderr.strip()}")
    return candidate.rename(configuration)


def reload_front(front: FrontSettings) -> None:
    """Put the configuration in place and have the running nginx take it up; requests in flight are finished.

    Raises:
        FrontRefusedError: see `write_front`; or the new configuration does not answer in time.
    """
    front = marked(front)
    write_front(front)
    os.kill(int((front.folder / "nginx.pid").read_text()), signal.SIGHUP)
    give_up = time.monotonic() + _RELOAD_SECONDS
    while _mark_in_use(front.listen) != front.mark:
        if time.monotonic() > give_up:
            raise FrontRefusedError(f"nginx does not answer with the new routes; {front.error_log} says why")
        time.sleep(0.05)


def _mark_in_use(address: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{address}/.configuration", timeout=2.0) as answer:
            return str(answer.read().decode())
    except OSError:
        return None
