"""What models hold in memory: as reckoned when they were compiled, corrected by what was measured. Pure."""

from dataclasses import dataclass
from typing import Any

from tools.catalog.manifest import Manifest
from tools.catalog.tenant import TenantId

# However it was measured, a model counts for no less and no more than so many times what was reckoned.
LEAST, MOST = 0.5, 3.0
# The weight of a new measurement against those before it, of one model.
_NEWS = 0.5
# In general, what is reckoned is believed as much as measurements of so many bytes of models.
_BELIEF = 512e6
_FADING = 0.98
_MOST_TENANTS = 20_000


@dataclass(frozen=True, slots=True)
class _Ratio:
    version: int
    ratio: float


class Sizes:
    """Measured over reckoned bytes: of the tenant versions that were measured, and in general for all others."""

    def __init__(self) -> None:
        self._ratios: dict[TenantId, _Ratio] = {}
        self._measured = self._reckoned = 0.0

    @property
    def factor(self) -> float:
        """Measured over reckoned bytes of models in general; larger models weigh more."""
        return (_BELIEF + self._measured) / (_BELIEF + self._reckoned)

    def of(self, manifest: Manifest) -> int:
        """Bytes that the model is to be counted with, in memory."""
        return self.counted(manifest.tenant, manifest.version, manifest.resident_bytes)

    def counted(self, tenant: TenantId, version: int, reckoned: int) -> int:
        """The same, for a model reckoned at `reckoned` bytes."""
        return round(self._ratio(tenant, version) * reckoned)

    def learn(self, tenant: TenantId, version: int, reckoned: int, measured: int) -> None:
        """The load of a model reckoned at `reckoned` bytes has added `measured`."""
        seen = _bounded(measured / reckoned, 1)
        ratio = (1 - _NEWS) * self._ratio(tenant, version) + _NEWS * seen
        self._ratios.pop(tenant, None)
        while len(self._ratios) >= _MOST_TENANTS:
            self._ratios.pop(next(iter(self._ratios)))
        self._ratios[tenant] = _Ratio(version, ratio)
        self._measured = _FADING * self._measured + seen * reckoned
        self._reckoned = _FADING * self._reckoned + reckoned

    def to_json(self) -> dict[str, Any]:
        """What `restore` takes."""
        tenants = {tenant: [known.version, round(known.ratio, 4)] for tenant, known in self._ratios.items()}
        return {"measured": self._measured, "reckoned": self._reckoned, "tenants": tenants}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what an earlier run measured.

        Raises:
            KeyError, TypeError, ValueError: `state` is not what `to_json` returns.
        """
        ratios = {
            TenantId(tenant): _Ratio(int(version), _bounded(float(ratio), 1))
            for tenant, (version, ratio) in state["tenants"].items()
        }
        reckoned = float(state["reckoned"])
        if not 0 <= reckoned < float("inf"):
            raise ValueError(f"{reckoned} bytes reckoned")
        self._ratios, self._reckoned = ratios, reckoned
        self._measured = _bounded(float(state["measured"]), reckoned)

    def _ratio(self, tenant: TenantId, version: int) -> float:
        known = self._ratios.get(tenant)
        return known.ratio if known is not None and known.version == version else self.factor


def _bounded(measured: float, reckoned: float) -> float:
    return min(MOST * reckoned, max(LEAST * reckoned, measured))  # in this order for NaN, too
