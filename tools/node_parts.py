"""The parts of a node as processes, and the files in its state folder that they share."""

import grp
import os
import pwd
import signal
import sys
from dataclasses import replace
from pathlib import Path

from tools.access.keys import read_keys
from tools.access.limits import write_limits
from tools.gateway import GatewaySettings, find_scripting, nginx_binary, render, render_keys, spares_connections
from tools.node_settings import Addresses, NodeSettings
from tools.process import Process

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("triton", "sidecar", "nginx")


def processes(settings: NodeSettings, at: Addresses, state: Path) -> list[Process]:
    """All parts in the order in which they are started, as `PARTS` names them."""
    logs = logs_folder(state)
    write_limits(_limits_file(state), settings.limits)
    front = GatewaySettings(
        listen=at.http,
        triton=at.triton_http,
        sidecar=at.sidecar_http,
        folder=state / "nginx",
        error_log=logs / "nginx.log",
        access_log=logs / "access.log" if settings.access_log else None,
        calls_log=_calls_log(state),
        user=workers_user(state),
        workers=settings.workers,
        scripting=find_scripting(nginx_binary()),
        spares_connections=spares_connections(nginx_binary()),
        # The sidecar may queue a load for as long as it may then take.
        answer_seconds=round(2 * settings.load_deadline) + 30,
        limits=settings.limits,
        client_seconds=settings.client_seconds,
        requests_per_address=settings.requests_per_address,
        keys_map=write_keys_map(state, settings.api_keys) if settings.api_keys else None,
        certificate=settings.certificate,
    )
    parts = [
        triton(logs / "triton.log", settings.repository, at.triton_http, at.triton_grpc, settings.parallel_loads),
        sidecar(logs / "sidecar.log", settings, at),
        nginx(front),
    ]
    return [replace(part, cpus=settings.cpus) for part in parts]


def triton(log: Path, repository: Path, http: str, grpc: str, parallel_loads: int = 4) -> Process:
    """tritonserver, by the one description of how it is started."""
    return Process(
        name="triton",
        command=("sh", str(ROOT / "triton" / "server" / "launch.sh")),
        log=log,
        ready_url=f"http://{http}/v2/health/ready",
        environment={
            "MODEL_REPOSITORY": str(repository.resolve()),
            "TRITON_HTTP": http,
            "TRITON_GRPC": grpc,
            "TRITON_LOAD_THREADS": str(parallel_loads),
            "PYTHON": sys.executable,
        },
    )


def sidecar(log: Path, settings: NodeSettings, at: Addresses) -> Process:
    """The sidecar, told everything through its environment."""
    return Process(
        name="sidecar",
        command=(sys.executable, "-m", "sidecar"),
        log=log,
        ready_url=f"http://{at.admin}/ping",
        environment={
            "ORCHARD_STORE": settings.store,
            "ORCHARD_REPOSITORY": str(settings.repository.resolve()),
            "ORCHARD_TRITON_HTTP": at.triton_http,
            "ORCHARD_TRITON_GRPC": at.triton_grpc,
            "ORCHARD_HTTP": at.sidecar_http,
            "ORCHARD_GRPC": at.grpc,
            "ORCHARD_ADMIN": at.admin,
            "ORCHARD_MEMORY_BUDGET": str(settings.memory_budget),
            "ORCHARD_DISK_BUDGET": str(settings.disk_budget),
            "ORCHARD_PARALLEL_LOADS": str(settings.parallel_loads),
            "ORCHARD_LOAD_DEADLINE": str(settings.load_deadline),
            "ORCHARD_COLD_QUEUE": str(settings.cold_queue),
            "ORCHARD_MINIMUM_RESIDENCE": str(settings.minimum_residence),
            "ORCHARD_MEMORY_LIMIT": str(settings.memory_limit),
            "ORCHARD_MEMORY_HIGH": settings.memory_high,
            "ORCHARD_MEMORY_LOW": settings.memory_low,
            "ORCHARD_UPDATE_INTERVAL": str(settings.update_interval),
            "ORCHARD_PINNED": ",".join(settings.pinned),
            "ORCHARD_POLICY": settings.policy,
            "ORCHARD_USAGE": str(settings.state.resolve() / "usage.json"),
            "ORCHARD_WARM_SCHEDULE": settings.warm_schedule,
            "ORCHARD_FRONT_LOG": str(_calls_log(settings.state)),
            "ORCHARD_LIMITS": str(_limits_file(settings.state)),
            "ORCHARD_API_KEYS": str(settings.api_keys.resolve()) if settings.api_keys else "",
            "ORCHARD_CERTIFICATE": str(settings.certificate.chain) if settings.certificate else "",
            "ORCHARD_CERTIFICATE_KEY": str(settings.certificate.key) if settings.certificate else "",
        },
    )


def nginx(front: GatewaySettings) -> Process:
    """nginx in the foreground, with its configuration written to the front's folder."""
    front.folder.mkdir(parents=True, exist_ok=True)
    configuration = front.folder / "nginx.conf"
    configuration.write_text(render(front))
    files = ("-p", str(front.folder), "-e", str(front.error_log), "-c", str(configuration))
    return Process(
        name="nginx",
        command=(str(nginx_binary()), *files),
        log=front.error_log,
        # Its own answer: whether Triton is there is not nginx's to say. Where it speaks HTTPS, it refuses this.
        ready_url=f"http://{front.listen}/",
        ready_status=400 if front.certificate else 404,
        # SIGQUIT lets requests in flight finish.
        stop_signal=signal.SIGQUIT,
        # New workers take over the listening sockets, so that no connection is refused.
        reload_signal=signal.SIGHUP,
        grace_seconds=5.0,
    )


def write_keys_map(state: Path, file: Path) -> Path:
    """What nginx reads in place of the file of keys."""
    written = state / "nginx" / "keys.conf"
    written.parent.mkdir(parents=True, exist_ok=True)
    part = written.with_suffix(".part")
    part.write_text(render_keys(read_keys(file)))
    return part.replace(written)


def workers_user(folder: Path) -> str | None:
    """nginx's `user`: started as root its workers must be able to read `folder`, so they run as its owner."""
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    return f"{pwd.getpwuid(owner.st_uid).pw_name} {grp.getgrgid(owner.st_gid).gr_name}"


def logs_folder(state: Path) -> Path:
    """Where the parts' logs are."""
    return state.resolve() / "logs"


def _limits_file(state: Path) -> Path:
    return state.resolve() / "limits.yaml"


def _calls_log(state: Path) -> Path:
    """What nginx writes and the sidecar reads: not for people."""
    return state.resolve() / "nginx" / "calls.log"
