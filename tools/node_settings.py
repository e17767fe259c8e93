"""A node as its user describes it, and where its parts listen."""

from dataclasses import dataclass, field
from pathlib import Path

from tools.access.certificates import Certificate
from tools.access.limits import Limits
from tools.eviction.named import DEFAULT_POLICY, PolicyName
from tools.eviction.victims import MINIMUM_RESIDENCE
from tools.ports import LOOPBACK, PortTakenError, free_ports, is_free


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """A node as its user describes it.

    `store` is a folder or s3://bucket/prefix. Ports of 0 are picked free. Budgets are bytes, or text as "512MiB".
    `state` holds logs, nginx's files, node.json and usage.json; `repository` is Triton's, the disk tier. Above
    `memory_high` of what Triton may use, `memory_limit` or less, models are evicted down to `memory_low`. Without the
    file `api_keys` anybody may call. For the bounds on clients see `GatewaySettings`.
    """

    store: str
    state: Path = Path(".orchard")
    repository: Path = Path("model_repository")
    host: str = LOOPBACK
    http_port: int = 8000
    grpc_port: int = 8001
    admin_port: int = 8080
    memory_budget: str | int = "2GiB"
    disk_budget: str | int = "20GiB"
    parallel_loads: int = 4
    load_deadline: float = 30.0
    cold_queue: int = 1000
    minimum_residence: float = MINIMUM_RESIDENCE
    memory_limit: str | int = ""
    memory_high: str = "85%"
    memory_low: str = "75%"
    update_interval: float = 30.0
    pinned: tuple[str, ...] = ()
    policy: PolicyName = DEFAULT_POLICY
    warm_schedule: str = ""
    workers: int = 1
    access_log: bool = False
    cpus: frozenset[int] = frozenset()
    limits: Limits = field(default_factory=Limits)
    client_seconds: int = 10
    requests_per_address: int = 1024
    api_keys: Path | None = None
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a node's parts listen, each host:port. All but `http` and `grpc` are on loopback, whatever the host."""

    http: str
    grpc: str
    admin: str
    triton_http: str
    triton_grpc: str
    sidecar_http: str

    @classmethod
    def choose(cls, settings: NodeSettings) -> "Addresses":
        """The public ports of `settings`, and free ones for the rest.

        Raises:
            PortTakenError: a port that was asked for is in use.
        """
        asked = (
            (settings.host, settings.http_port),
            (settings.host, settings.grpc_port),
            (LOOPBACK, settings.admin_port),
        )
        for host, port in asked:
            if port and not is_free(host, port):
                raise PortTakenError(f"port {port} of {host} is in use: stop what uses it, or choose another")
        free = iter(free_ports(6, settings.host))
        chosen = [f"{host}:{port or next(free)}" for host, port in asked]
        return cls(*chosen, *(f"{LOOPBACK}:{next(free)}" for _ in range(3)))
