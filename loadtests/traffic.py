"""Who calls next: an endless, seeded stream of calls. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.fleets import FraudTenants
from tools.catalog.tenant import TenantId

SEVERAL_ROWS_SHARE = 0.2
MOST_ROWS = 8
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Share:
    """Tenants that together make `weight` parts of the traffic, each as much of it as the next."""

    tenants: Sequence[TenantId]
    weight: float


@dataclass(frozen=True, slots=True)
class Call:
    """Ask `tenant` about `rows` rows from `first` on, of those it has."""

    tenant: TenantId
    first: int
    rows: int


def fraud_shares(tenants: FraudTenants) -> list[Share]:
    """The fraud mix: the whales make 80 % of the calls, the middle 19 %, the occasional 1 %."""
    return [Share(tenants.whales, 80.0), Share(tenants.middle, 19.0), Share(tenants.occasional, 1.0)]


def calls(shares: Sequence[Share], rows_of: Mapping[TenantId, int], seed: int) -> Iterator[Call]:
    """An endless stream of independent calls, the same for the same arguments.

    Four calls in five ask about one row, the others about two to `MOST_ROWS`. `rows_of` says how many rows there are
    to ask of each tenant: at least `MOST_ROWS`.
    """
    shares = [share for share in shares if share.tenants]
    weights = np.array([share.weight for share in shares])
    draw = np.random.default_rng(seed)
    while True:
        of_share = draw.choice(len(shares), size=_BATCH, p=weights / weights.sum())
        several = draw.random(_BATCH) < SEVERAL_ROWS_SHARE
        rows = np.where(several, draw.integers(2, MOST_ROWS + 1, _BATCH), 1)
        places = draw.random((_BATCH, 2))
        for share, count, (which, where) in zip(of_share, rows, places, strict=True):
            tenants = shares[share].tenants
            tenant = tenants[int(which * len(tenants))]
            yield Call(tenant, first=int(where * (rows_of[tenant] - count + 1)), rows=int(count))
