"""The sidecar's settings, read once from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.memory.marks import DEFAULT_MARKS, Marks
from sidecar.observability.logs import LogFormat
from sidecar.schedule import BadScheduleError, Schedule
from tools.access.certificates import BadCertificateError, Certificate, certificate_of
from tools.access.limits import BadLimitsError, Limits, read_limits
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id
from tools.eviction.named import DEFAULT_POLICY, PolicyName
from tools.eviction.victims import MINIMUM_RESIDENCE

# As Docker ("4g") and Kubernetes ("4Gi") write them, too.
_POWERS = {"K": 2**10, "M": 2**20, "G": 2**30}
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_UNITS |= {unit + ending: size for unit, size in _POWERS.items() for ending in ("", "I", "IB")}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


class BadSettingError(ValueError):
    """A setting cannot be used. The message names the variable."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens or is found."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the sidecar is told. Budgets are in bytes, times in seconds."""

    store: str
    repository: Path
    triton_http: Address
    triton_grpc: Address
    http: Address
    grpc: Address
    admin: Address
    memory_budget: int
    disk_budget: int
    pinned: frozenset[TenantId] = frozenset()
    policy: PolicyName = DEFAULT_POLICY
    usage: Path | None = None
    warm_schedule: Schedule | None = None
    minimum_residence: float = MINIMUM_RESIDENCE
    memory_limit: int | None = None
    memory_marks: Marks = DEFAULT_MARKS
    parallel_loads: int = 4
    cold_queue: int = 1000
    load_deadline: float = 30.0
    cold_deadline: float = 60.0
    triton_patience: float = 8.0
    statistics_interval: float = 1.0
    update_interval: float = 30.0
    max_body: int = 64 * 2**20
    front_log: Path | None = None
    top_tenants: int = 20
    log_format: LogFormat = LogFormat.JSON
    limits: Limits = field(default_factory=Limits)
    api_keys: Path | None = None
    certificate: Certificate | None = None
    admin_token: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the `ORCHARD_…` variables.

        Raises:
            BadSettingError: one is missing or cannot be used.
        """
        read = _Reader(environment)
        load_deadline = read.seconds("ORCHARD_LOAD_DEADLINE", 30.0)
        return cls(
            store=read.text("ORCHARD_STORE", "store"),
            repository=Path(read.text("ORCHARD_REPOSITORY", "model_repository")),
            triton_http=read.address("ORCHARD_TRITON_HTTP", "127.0.0.1:8500"),
            triton_grpc=read.address("ORCHARD_TRITON_GRPC", "127.0.0.1:8501"),
            http=read.address("ORCHARD_HTTP", "127.0.0.1:8090"),
            grpc=read.address("ORCHARD_GRPC", "127.0.0.1:8001"),
            admin=read.address("ORCHARD_ADMIN", "127.0.0.1:8080"),
            memory_budget=read.size("ORCHARD_MEMORY_BUDGET", "2GiB"),
            disk_budget=read.size("ORCHARD_DISK_BUDGET", "20GiB"),
            pinned=read.tenants("ORCHARD_PINNED"),
            policy=read.policy("ORCHARD_POLICY"),
            usage=read.path("ORCHARD_USAGE"),
            warm_schedule=read.schedule("ORCHARD_WARM_SCHEDULE"),
            minimum_residence=read.seconds("ORCHARD_MINIMUM_RESIDENCE", MINIMUM_RESIDENCE, least=0.0),
            memory_limit=read.optional_size("ORCHARD_MEMORY_LIMIT"),
            memory_marks=read.marks("ORCHARD_MEMORY_HIGH", "ORCHARD_MEMORY_LOW"),
            parallel_loads=read.count("ORCHARD_PARALLEL_LOADS", 4),
            cold_queue=read.count("ORCHARD_COLD_QUEUE", 1000),
            load_deadline=load_deadline,
            cold_deadline=2 * load_deadline,
            triton_patience=read.seconds("ORCHARD_TRITON_PATIENCE", 8.0),
            update_interval=read.seconds("ORCHARD_UPDATE_INTERVAL", 30.0),
            front_log=read.path("ORCHARD_FRONT_LOG"),
            top_tenants=read.count("ORCHARD_TOP_TENANTS", 20),
            log_format=read.log_format("ORCHARD_LOG_FORMAT", LogFormat.JSON),
            limits=read.limits("ORCHARD_LIMITS"),
            api_keys=read.path("ORCHARD_API_KEYS"),
            certificate=read.certificate("ORCHARD_CERTIFICATE", "ORCHARD_CERTIFICATE_KEY"),
            admin_token=read.text("ORCHARD_ADMIN_TOKEN", ""),
        )


def parse_size(text: str) -> int:
    """Bytes in `text`: a number with an optional unit (`512MiB`, `2 GB`, `1000`).

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.fullmatch(text)
    if match is None or match[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is not a size: write it as 512MiB, 2GiB or a number of bytes")
    return int(float(match[1]) * _UNITS[match[2].upper()])


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str) -> str:
        return self._environment.get(name) or default

    def path(self, name: str) -> Path | None:
        text = self.text(name, "")
        return Path(text) if text else None

    def limits(self, name: str) -> Limits:
        path = self.path(name)
        try:
            return read_limits(path) if path else Limits()
        except BadLimitsError as error:
            raise BadSettingError(f"{name}: {error}") from None

    def certificate(self, chain: str, key: str) -> Certificate | None:
        try:
            return certificate_of(self.path(chain), self.path(key))
        except BadCertificateError as error:
            raise BadSettingError(f"{chain}, {key}: {error}") from None

    def log_format(self, name: str, default: LogFormat) -> LogFormat:
        text = self.text(name, default.value)
        try:
            return LogFormat(text)
        except ValueError:
            raise BadSettingError(f"{name}={text!r} is not a log format: json or text") from None

    def policy(self, name: str) -> PolicyName:
        text = self.text(name, DEFAULT_POLICY)
        try:
            return PolicyName(text)
        except ValueError:
            raise BadSettingError(f"{name}={text!r} is not a policy: choose {', '.join(PolicyName)}") from None

    def schedule(self, name: str) -> Schedule | None:
        text = self.text(name, "")
        try:
            return Schedule.parse(text) if text else None
        except BadScheduleError as error:
            raise BadSettingError(f"{name}: {error}") from None

    def address(self, name: str, default: str) -> Address:
        text = self.text(name, default)
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise BadSettingError(f"{name}={text!r} is not an address: write it as host:port")
        return Address(host.strip("[]"), int(port))

    def size(self, name: str, default: str) -> int:
        try:
            size = parse_size(self.text(name, default))
        except ValueError as error:
            raise BadSettingError(f"{name}: {error}") from None
        if size <= 0:
            raise BadSettingError(f"{name} must be more than 0 bytes")
        return size

    def optional_size(self, name: str) -> int | None:
        return self.size(name, "") if self.text(name, "") else None

    def marks(self, high: str, low: str) -> Marks:
        marks = Marks(self._share(high, DEFAULT_MARKS.high), self._share(low, DEFAULT_MARKS.low))
        if marks.low > marks.high:
            raise BadSettingError(f"{low} must not be above {high}")
        return marks

    def _share(self, name: str, default: float) -> float:
        text = self.text(name, f"{default:.0%}")
        match = re.fullmatch(r"(\d{1,3}) ?%", text)
        if match is None or not 0 < int(match[1]) <= 100:
            raise BadSettingError(f"{name}={text!r} is not a share: write it as 85%")
        return int(match[1]) / 100

    def count(self, name: str, default: int) -> int:
        text = self.text(name, str(default))
        if not text.isdecimal() or int(text) < 1:
            raise BadSettingError(f"{name}={text!r} is not a whole number of at least 1")
        return int(text)

    def seconds(self, name: str, default: float, least: float = 0.001) -> float:
        text = self.text(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not least <= value < 86_400:
            raise BadSettingError(f"{name}={text!r} is not a number of seconds between {least:g} and a day")
        return value

    def tenants(self, name: str) -> frozenset[TenantId]:
        try:
            return frozenset(tenant_id(part.strip()) for part in self.text(name, "").split(",") if part.strip())
        except BadTenantIdError as error:
            raise BadSettingError(f"{name}: {error}") from None
