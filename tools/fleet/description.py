"""The fleet file: which pools of nodes there are, and which tenants do not live like all the others.

    pools:
      shared: {nodes: 2, memory_budget: 4GiB}
      whales: {nodes: 1, memory_budget: 1GiB, cpus: 2-3}
    dedicated: {m01: whales}
    pinned: [m02]
    copies: {m03: 2}
    limits: {default: {rate: 2000}, tenants: {m03: {rate: 500}}}

Tenants that are not named are *shared*: they live in the pool `shared`, come and go. *Dedicated* ones live in a pool of
their own, *pinned* ones in the shared pool, both always in memory. A tenant with *copies* is served by so many nodes
of the shared pool at once. `nodes` is how many to start on this machine, or a list of host:port that run elsewhere.
`limits` bound the tenants on each local node: see tools.access.limits.
"""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from tools.access.limits import BadLimitsError, Limits, parse_limits
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

SHARED = "shared"
_POOL_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_ADDRESS = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}")
_CPUS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


class BadFleetError(ValueError):
    """The fleet file cannot be used. The message says where and why."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Nodes that serve the same tenants. `nodes` is a number of local ones, or the addresses of others.

    `memory_budget` is each node's; `cpus` are the ones its processes may use, all when empty.
    """

    nodes: int | tuple[str, ...] = 1
    memory_budget: str = "2GiB"
    cpus: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class FleetDescription:
    """What the fleet file says."""

    pools: Mapping[str, Pool]
    dedicated: Mapping[TenantId, str] = field(default_factory=dict)
    pinned: frozenset[TenantId] = frozenset()
    copies: Mapping[TenantId, int] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    def pinned_in(self, pool: str) -> frozenset[TenantId]:
        """The tenants that the pool's nodes always hold."""
        if pool == SHARED:
            return self.pinned
        return frozenset(tenant for tenant, home in self.dedicated.items() if home == pool)

    def promote(self, tenant: TenantId, pool: str) -> "FleetDescription":
        """The tenant dedicated to `pool`.

        Raises:
            BadFleetError: there is no such pool, or it is the shared one.
        """
        changed = replace(
            self,
            dedicated={**self.dedicated, tenant: pool},
            pinned=self.pinned - {tenant},
            copies={name: count for name, count in self.copies.items() if name != tenant},
        )
        _check(changed)
        return changed

    def demote(self, tenant: TenantId) -> "FleetDescription":
        """The tenant shared.

        Raises:
            BadFleetError: it is already.
        """
        if tenant not in self.dedicated and tenant not in self.pinned:
            raise BadFleetError(f"tenant {tenant} is neither dedicated nor pinned: there is nothing to demote")
        return replace(
            self,
            dedicated={name: pool for name, pool in self.dedicated.items() if name != tenant},
            pinned=self.pinned - {tenant},
        )


def read_fleet(path: Path) -> FleetDescription:
    """Read and check the fleet file.

    Raises:
        BadFleetError: it is not there, not YAML, or says something that cannot be.
    """
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFleetError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadFleetError(f"{path} is not YAML: {error}") from None
    try:
        return parse_fleet(described)
    except BadFleetError as error:
        raise BadFleetError(f"{path}: {error}") from None


def write_fleet(path: Path, fleet: FleetDescription) -> None:
    """Replace the fleet file in one step. Comments in it are lost."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        yaml.safe_dump(_as_plain(fleet), part, sort_keys=False)
    written = Path(part.name)
    written.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
    written.rename(path)


def parse_fleet(described: Any) -> FleetDescription:
    """The description in what YAML gave.

    Raises:
        BadFleetError: a part of it is unknown, of the wrong kind, or contradicts another.
    """
    top = _mapping(described, "the file", {"pools", "dedicated", "pinned", "copies", "limits"})
    pools = {str(name): _pool(str(name), value) for name, value in _mapping(top.get("pools"), "pools").items()}
    dedicated = _mapping(top.get("dedicated"), "dedicated")
    copies = _mapping(top.get("copies"), "copies")
    pinned = top.get("pinned") or []
    if not isinstance(pinned, list):
        raise BadFleetError("pinned: write a list of tenants")
    fleet = FleetDescription(
        pools=pools,
        dedicated={_tenant(name, "dedicated"): str(pool) for name, pool in dedicated.items()},
        pinned=frozenset(_tenant(name, "pinned") for name in pinned),
        copies={_tenant(name, "copies"): _count(count, f"copies of {name}", 2) for name, count in copies.items()},
        limits=_limits(top.get("limits")),
    )
    _check(fleet)
    return fleet


def _check(fleet: FleetDescription) -> None:
    if SHARED not in fleet.pools:
        raise BadFleetError(f"pools: there is no pool named {SHARED}, where tenants live that are not named")
    for tenant, pool in fleet.dedicated.items():
        if pool == SHARED:
            raise BadFleetError(f"dedicated: {tenant} cannot be dedicated to the shared pool; list it under pinned")
        if pool not in fleet.pools:
            known = ", ".join(sorted(set(fleet.pools) - {SHARED})) or "none but the shared one"
            raise BadFleetError(
                f"dedicated: {tenant} is to live in pool {pool!r}, which is not there (there is {known})"
            )
    for tenant in {*fleet.pinned, *fleet.copies} & set(fleet.dedicated):
        raise BadFleetError(f"{tenant} is dedicated, so it can be neither pinned nor copied in the shared pool")
    nodes = fleet.pools[SHARED].nodes
    most = nodes if isinstance(nodes, int) else len(nodes)
    for tenant, count in fleet.copies.items():
        if count > most:
            raise BadFleetError(f"copies: {count} of {tenant}, but the shared pool has {most} nodes")


def _pool(name: str, described: Any) -> Pool:
    if not _POOL_NAME.fullmatch(name):
        raise BadFleetError(f"pools: {name!r} is no name for a pool: lower-case letters, digits and dashes")
    where = f"pool {name}"
    parts = _mapping(described, where, {"nodes", "memory_budget", "cpus"})
    return Pool(
        nodes=_nodes(parts.get("nodes", 1), where),
        memory_budget=str(parts.get("memory_budget", "2GiB")),
        cpus=_cpus(str(parts.get("cpus", "")), where),
    )


def _nodes(described: Any, where: str) -> int | tuple[str, ...]:
    if not isinstance(described, list):
        return _count(described, f"{where}, nodes", 1)
    for address in described:
        if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
            raise BadFleetError(f"{where}, nodes: {address!r} is not an address: write it as host:port")
    if not described or len(set(described)) < len(described):
        raise BadFleetError(f"{where}, nodes: name each node once, and at least one")
    return tuple(described)


def _limits(described: Any) -> Limits:
    try:
        return parse_limits(described)
    except BadLimitsError as error:
        raise BadFleetError(f"limits: {error}") from None


def _cpus(text: str, where: str) -> frozenset[int]:
    if not text:
        return frozenset()
    if not _CPUS.fullmatch(text):
        raise BadFleetError(f"{where}, cpus: {text!r} is not a set of CPUs: write it as 0,2-3")
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _mapping(described: Any, where: str, known: set[str] | None = None) -> dict[Any, Any]:
    if described is None:
        return {}
    if not isinstance(described, dict):
        raise BadFleetError(f"{where}: write it as `name: value` pairs")
    for name in described:
        if known is not None and name not in known:
            raise BadFleetError(f"{where}: {name!r} is unknown: there is {', '.join(sorted(known))}")
    return described


def _tenant(name: Any, where: str) -> TenantId:
    try:
        return tenant_id(name if isinstance(name, str) else str(name))
    except BadTenantIdError as error:
        raise BadFleetError(f"{where}: {error}") from None


def _count(described: Any, where: str, least: int) -> int:
    if not isinstance(described, int) or isinstance(described, bool) or described < least:
        raise BadFleetError(f"{where}: {described!r} is not a whole number of at least {least}")
    return described


def _as_plain(fleet: FleetDescription) -> dict[str, Any]:
    pools: dict[str, Any] = {}
    for name, pool in fleet.pools.items():
        nodes = pool.nodes if isinstance(pool.nodes, int) else list(pool.nodes)
        pools[name] = {"nodes": nodes, "memory_budget": pool.memory_budget}
        if pool.cpus:
            pools[name]["cpus"] = ",".join(str(cpu) for cpu in sorted(pool.cpus))
    plain: dict[str, Any] = {"pools": pools}
    if fleet.dedicated:
        plain["dedicated"] = {str(tenant): pool for tenant, pool in sorted(fleet.dedicated.items())}
    if fleet.pinned:
        plain["pinned"] = sorted(str(tenant) for tenant in fleet.pinned)
    if fleet.copies:
        plain["copies"] = {str(tenant): count for tenant, count in sorted(fleet.copies.items())}
    if fleet.limits != Limits():
        plain["limits"] = fleet.limits.as_plain()
    return plain
