"""The tenants a benchmark serves: synthetic models of three sizes."""

from dataclasses import dataclass

from loadtests.synthetic import SyntheticSpec
from tools.catalog.tenant import TenantId

KB, MB = 10**3, 10**6


@dataclass(frozen=True, slots=True)
class Size:
    """`count` tenants whose checkpoints have about `checkpoint_bytes` bytes."""

    label: str
    prefix: str
    checkpoint_bytes: int
    count: int

    @property
    def tenants(self) -> list[TenantId]:
        return [TenantId(f"{self.prefix}-{number:02}") for number in range(self.count)]

    @property
    def specs(self) -> list[SyntheticSpec]:
        return [SyntheticSpec(name, self.checkpoint_bytes, seed) for seed, name in enumerate(self.tenants)]


SMALL = Size("185 KB", "small", 185 * KB, 20)
MEDIUM = Size("1 MB", "medium", 1 * MB, 16)
LARGE = Size("45 MB", "large", 45 * MB, 2)
SIZES = (SMALL, MEDIUM, LARGE)
