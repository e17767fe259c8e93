"""How much one tenant may ask for, so that the others do not feel it.

    default: {rate: 2000, burst: 2000, concurrency: 256}
    tenants:
      m37: {rate: 50, concurrency: 4}
      m38: off

Each node, and each protocol on it, HTTP and gRPC, counts for itself. What is left out of `default` is as shown, what is
left out for a tenant is the default's, and a `rate` without a `burst` has one as large. `off` is no limit at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tools.access.errors import AccessError
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

_MOST = 1_000_000
_MOST_AT_ONCE = 65_535  # what nginx can count to
_PARTS = {"rate", "burst", "concurrency"}


class BadLimitsError(AccessError):
    """The limits cannot be used. The message says where and why."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`rate` calls a second in the long run, `burst` more at once, and `concurrency` at the same time."""

    rate: int = 2000
    burst: int = 2000
    concurrency: int = 256


@dataclass(frozen=True, slots=True)
class Limits:
    """The limit of every tenant: its own, or else the default. None is no limit."""

    default: Limit | None = field(default_factory=Limit)
    tenants: Mapping[TenantId, Limit | None] = field(default_factory=dict)

    def of(self, tenant: TenantId) -> Limit | None:
        """The limit of `tenant`."""
        return self.tenants.get(tenant, self.default)

    def as_plain(self) -> dict[str, Any]:
        """What `parse_limits` reads back."""
        tenants = {str(tenant): _as_plain(limit) for tenant, limit in sorted(self.tenants.items())}
        return {"default": _as_plain(self.default), "tenants": tenants}


NO_LIMITS = Limits(default=None)


def read_limits(path: Path) -> Limits:
    """Read and check a limits file.

    Raises:
        BadLimitsError: it is not there, not YAML, or says something that cannot be.
    """
    try:
        return parse_limits(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadLimitsError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadLimitsError(f"{path} is not YAML: {error}") from None
    except BadLimitsError as error:
        raise BadLimitsError(f"{path}: {error}") from None


def write_limits(path: Path, limits: Limits) -> None:
    """Write a file that `read_limits` reads."""
    path.write_text(yaml.safe_dump(limits.as_plain(), sort_keys=False), encoding="utf-8")


def parse_limits(described: Any) -> Limits:
    """The limits in what YAML gave; nothing gives the defaults.

    Raises:
        BadLimitsError: a part of it is unknown or of the wrong kind.
    """
    top = _mapping(described, "limits", {"default", "tenants"})
    default = _limit(top["default"], "default", Limit()) if "default" in top else Limit()
    tenants = _mapping(top.get("tenants"), "tenants")
    own = {_tenant(name): _limit(each, str(name), default or Limit()) for name, each in tenants.items()}
    return Limits(default, own)


def _limit(described: Any, where: str, default: Limit) -> Limit | None:
    if described is False or described == "off":
        return None
    parts = _mapping(described, where, _PARTS)
    rate = _count(parts.get("rate", default.rate), f"{where}, rate", 1)
    burst = _count(parts.get("burst", rate if "rate" in parts else default.burst), f"{where}, burst", 0)
    concurrency = _count(parts.get("concurrency", default.concurrency), f"{where}, concurrency", 1, _MOST_AT_ONCE)
    return Limit(rate, burst, concurrency)


def _as_plain(limit: Limit | None) -> dict[str, int] | str:
    return "off" if limit is None else {"rate": limit.rate, "burst": limit.burst, "concurrency": limit.concurrency}


def _mapping(described: Any, where: str, known: set[str] | None = None) -> dict[Any, Any]:
    if described is None:
        return {}
    if not isinstance(described, dict):
        raise BadLimitsError(f"{where}: write it as `name: value` pairs, or a limit as off")
    for name in described:
        if known is not None and name not in known:
            raise BadLimitsError(f"{where}: {name!r} is unknown: there is {', '.join(sorted(known))}")
    return described


def _tenant(name: Any) -> TenantId:
    try:
        return tenant_id(str(name))
    except BadTenantIdError as error:
        raise BadLimitsError(f"tenants: {error}") from None


def _count(described: Any, where: str, least: int, most: int = _MOST) -> int:
    if not isinstance(described, int) or isinstance(described, bool) or not least <= described <= most:
        raise BadLimitsError(f"{where}: {described!r} is not a whole number from {least} to {most:,}")
    return described
