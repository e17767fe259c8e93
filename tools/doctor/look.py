"""Gathers the facts: asks the machine, the store, and the node if one runs. Changes nothing."""

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sysconfig
import time
import urllib.request
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

from tools.catalog.catalog import Catalog, CatalogError
from tools.catalog.live import BadPointerError
from tools.catalog.store import NOT_CHANGED, Store, StoreError, open_store
from tools.doctor.facts import Disk, Facts, Memory, Parts, Port, Running, StoreFacts
from tools.gateway import NginxMissingError, find_scripting, nginx_binary
from tools.node_parts import ROOT
from tools.node_settings import Addresses, NodeSettings
from tools.plan.read import parse_size
from tools.ports import LOOPBACK, is_free
from tools.stack import is_running, running_addresses, running_settings
from tools.status import NoAnswerError, fetch_status

_NVIDIA = Path("/opt/tritonserver")
_JEMALLOC = ("usr/lib/*-linux-gnu", "usr/lib64", "usr/lib", "usr/local/lib")
_TENANTS_LOOKED_AT = 5
_NO_LIMIT = 1 << 60


def gather(settings: NodeSettings) -> Facts:
    """Everything that can be known of the node that runs from `settings.state`, or of one with these settings.

    Raises:
        BadTrafficError: a budget is not a size.
    """
    addresses = running_addresses(settings.state) if is_running(settings.state) else None
    running = None
    if addresses is not None:
        running, settings = _running(addresses), running_settings(settings)
    return Facts(
        now=time.time(),
        ports=_ports(settings, addresses),
        parts=_parts(addresses),
        memory=_memory(_bytes(settings.memory_budget)),
        disk=_disk(settings.repository, _bytes(settings.disk_budget)),
        store=_store(settings.store),
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        running=running,
    )


def _bytes(budget: str | int) -> int:
    return budget if isinstance(budget, int) else parse_size(budget)


def _running(addresses: Addresses) -> Running:
    try:
        status = fetch_status(addresses.admin)
    except NoAnswerError:
        return Running(answers=False)
    return Running(True, status["triton_up"], tuple(each["tenant"] for each in status["quarantined"]))


def _ports(settings: NodeSettings, addresses: Addresses | None) -> tuple[Port, ...]:
    if addresses is not None:
        found = ((name, *address.rsplit(":", 1)) for name, address in asdict(addresses).items())
        return tuple(Port(name, host, int(port), _answers(host, int(port))) for name, host, port in found)
    asked = (
        ("http", settings.host, settings.http_port),
        ("grpc", settings.host, settings.grpc_port),
        ("admin", LOOPBACK, settings.admin_port),
    )
    return tuple(Port(name, host, port, not is_free(host, port)) for name, host, port in asked if port)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True


def _parts(addresses: Addresses | None) -> Parts:
    server = _server()
    nginx, has_scripting = _nginx()
    return Parts(
        triton=str(server) if server else None,
        triton_version=_triton_version(addresses, server),
        backend=_backend(),
        nginx_version=nginx,
        has_scripting=has_scripting,
        treelite_version=_installed("treelite"),
        xgboost_version=_installed("xgboost-cpu") or _installed("xgboost"),
        jemalloc=_jemalloc(),
        missing_tools=tuple(tool for tool in ("setpriv", "taskset") if shutil.which(tool) is None),
    )


def _server() -> Path | None:
    """Where launch.sh finds it."""
    candidates = (
        os.environ.get("TRITON_BIN"),
        shutil.which("tritonserver"),
        _NVIDIA / "bin" / "tritonserver",
        Path(sysconfig.get_path("purelib")) / "pytriton" / "tritonserver" / "bin" / "tritonserver",
    )
    return next((Path(each) for each in candidates if each and os.access(each, os.X_OK)), None)


def _triton_version(addresses: Addresses | None, server: Path | None) -> str | None:
    if addresses is not None:
        with (
            suppress(OSError, ValueError, KeyError),
            urllib.request.urlopen(f"http://{addresses.triton_http}/v2", timeout=2.0) as answer,
        ):
            return str(json.load(answer)["version"])
    with suppress(OSError):
        return (_NVIDIA / "TRITON_VERSION").read_text().strip()
    wheel = _installed("nvidia-pytriton")
    return f"of nvidia-pytriton {wheel}" if server and wheel else None


def _backend() -> str | None:
    folders = (os.environ.get("TRITON_BACKENDS"), ROOT / ".build" / "backends", _NVIDIA / "backends")
    libraries = (Path(folder) / "fil" / "libtriton_fil.so" for folder in folders if folder)
    return next((str(library) for library in libraries if library.exists()), None)


def _jemalloc() -> str | None:
    found = (path for where in _JEMALLOC for path in Path("/").glob(f"{where}/libjemalloc.so.2"))
    return next((str(path) for path in found), None)


def _nginx() -> tuple[str | None, bool]:
    try:
        binary = nginx_binary()
    except NginxMissingError:
        return None, False
    said = subprocess.run((str(binary), "-v"), capture_output=True, text=True, check=False, timeout=10).stderr
    found = re.search(r"nginx/([\d.]+)", said)
    return found[1] if found else "unknown", find_scripting(binary) is not None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _memory(budget: int) -> Memory:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (1024 * int(lines[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    group = _group_limit()
    if group is not None and group < total:
        return Memory(budget, group, min(available, group), is_group=True)
    return Memory(budget, total, available, is_group=False)


def _group_limit(proc: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The lowest limit of our control groups, all the way up, in version 1 and 2 of their files."""
    limits = []
    with suppress(OSError):
        for line in proc.read_text().splitlines():
            hierarchy, controllers, path = line.split(":", 2)
            if hierarchy == "0":
                top, name = mount, "memory.max"
            elif "memory" in controllers.split(","):
                top, name = mount / "memory", "memory.limit_in_bytes"
            else:
                continue
            folder = top / path.lstrip("/")
            limits += [_limit(each / name) for each in (folder, *folder.parents) if each.is_relative_to(top)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(file: Path) -> int | None:
    try:
        limit = int(file.read_text())
    except (OSError, ValueError):  # "max"
        return None
    return limit if limit < _NO_LIMIT else None


def _disk(repository: Path, budget: int) -> Disk:
    folder = repository.resolve()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if there == folder else 0
    return Disk(str(folder), budget, used, shutil.disk_usage(there).free, os.access(there, os.W_OK))


def _store(address: str) -> StoreFacts:
    try:
        store = open_store(address)
        return _ask(address, store)
    except (StoreError, CatalogError, BadPointerError) as error:
        return StoreFacts(address, error=str(error))


def _ask(address: str, store: Store) -> StoreFacts:
    catalog = Catalog(store)
    began = time.monotonic()
    tenants = list(islice(catalog.tenants(), _TENANTS_LOOKED_AT))
    published = []
    seconds = time.monotonic() - began
    for tenant in tenants:
        with suppress(CatalogError):  # a drop-in has no pointer
            live = catalog.live(tenant)
            assert live is not NOT_CHANGED, "no etag was given"
            published.append(datetime.fromisoformat(live.pointer.published_at).timestamp())
        if tenant == tenants[0]:
            seconds = time.monotonic() - began
    clock = store.clock()
    ahead = None if clock is None else time.time() - clock
    return StoreFacts(address, None, seconds, len(tenants), ahead, max(published, default=None))
