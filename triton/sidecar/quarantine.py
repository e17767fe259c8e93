"""Tenants whose load ended with Triton's death: suspected once, quarantined when it happens again. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.catalog.tenant import TenantId, tenant_id

STRIKES = 2
_MOST_SUSPECTS = 10_000


@dataclass(frozen=True, slots=True)
class Suspicion:
    """`strikes` loads of this version of the tenant were under way when Triton died."""

    tenant: TenantId
    version: int
    strikes: int

    @property
    def is_quarantined(self) -> bool:
        """Whether the version is not to be loaded any more."""
        return self.strikes >= STRIKES


class Quarantine:
    """innocent → suspect → quarantined, for the latest version of each tenant.

    A death with several loads under way makes a suspect of each. A suspect is loaded with no other load beside it,
    so that a second death is held against nobody but the one that caused it. A load that ends well, a load of another
    version, and `release` make a tenant innocent again.
    """

    def __init__(self) -> None:
        self._suspicions: dict[TenantId, Suspicion] = {}

    def __iter__(self) -> Iterator[Suspicion]:
        """The quarantined ones."""
        return iter([each for each in self._suspicions.values() if each.is_quarantined])

    def is_suspect(self, tenant: TenantId, version: int) -> bool:
        """Whether a load of this version has to be alone."""
        return self._strikes(tenant, version) > 0

    def is_quarantined(self, tenant: TenantId, version: int) -> bool:
        """Whether this version is not to be loaded."""
        return self._strikes(tenant, version) >= STRIKES

    def died(self, tenant: TenantId, version: int) -> Suspicion:
        """Triton has died while it loaded this version; returns what that makes of it."""
        strikes = self._strikes(tenant, version) + 1
        self._suspicions.pop(tenant, None)
        while len(self._suspicions) >= _MOST_SUSPECTS:
            self._suspicions.pop(next(iter(self._suspicions)))
        self._suspicions[tenant] = Suspicion(tenant, version, min(strikes, STRIKES))
        return self._suspicions[tenant]

    def loaded(self, tenant: TenantId) -> bool:
        """Some version of the tenant has been loaded well; returns whether there was a suspicion."""
        return self._suspicions.pop(tenant, None) is not None

    def release(self, tenant: TenantId) -> bool:
        """Forget what is held against the tenant; returns whether there was anything."""
        return self._suspicions.pop(tenant, None) is not None

    def to_json(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {each.tenant: [each.version, each.strikes] for each in self._suspicions.values()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what an earlier run held against tenants.

        Raises:
            AttributeError, TypeError, ValueError: `state` is not what `to_json` returns.
        """
        restored = {}
        for name, (version, strikes) in state.items():
            tenant = tenant_id(name)
            if not (isinstance(version, int) and isinstance(strikes, int) and 0 < strikes <= STRIKES):
                raise ValueError(f"{strikes} strikes of version {version}")
            restored[tenant] = Suspicion(tenant, version, strikes)
        self._suspicions = restored

    def _strikes(self, tenant: TenantId, version: int) -> int:
        held = self._suspicions.get(tenant)
        return held.strikes if held is not None and held.version == version else 0
