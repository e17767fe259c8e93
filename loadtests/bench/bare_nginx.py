"""The same nginx with nothing but a proxy to Triton: what any front made of it costs, whatever it does beside that."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.gateway import nginx_binary
from tools.plain_request import CHECKED_HEADER
from tools.ports import free_ports
from tools.process import Process
from tools.supervisor import Supervisor

# Memory and connections as the node's front has them, so that only what the front does makes the difference.
_CONFIGURATION = """daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    connection_pool_size 4k;
    request_pool_size 8k;
    proxy_buffer_size 4k;
    keepalive_requests 1000000;
    client_body_temp_path bodies;
    proxy_temp_path answers;
    fastcgi_temp_path unused;
    uwsgi_temp_path unused;
    scgi_temp_path unused;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header {checked} yes;
    upstream triton {{ server {triton}; keepalive 64; keepalive_requests 1000000; }}
    server {{ listen {listen}; location / {{ proxy_pass http://triton; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class BareNginx:
    """Where it listens, host:port, and its process id."""

    address: str
    pid: int


@contextlib.contextmanager
def bare_nginx(folder: Path, triton: str) -> Iterator[BareNginx]:
    """Run it with its files in `folder`, in front of Triton at `triton` (host:port)."""
    folder.mkdir(parents=True)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    configuration, log = folder / "nginx.conf", folder / "error.log"
    configuration.write_text(_CONFIGURATION.format(checked=CHECKED_HEADER, triton=triton, listen=address))
    process = Process(
        name="bare nginx",
        command=(str(nginx_binary()), "-p", str(folder), "-e", str(log), "-c", str(configuration)),
        log=log,
        ready_url=f"http://{address}/v2/health/ready",
    )
    with Supervisor([process]) as supervisor:
        yield BareNginx(address, supervisor.pids()[process.name])
