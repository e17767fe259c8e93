"""Each tenant's limit, held as nginx holds it (ngx_http_limit_req_module's leaky bucket, without delay). No I/O."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sidecar.errors import TooManyCallsError
from tools.access.limits import Limit, Limits
from tools.catalog.tenant import TenantId

_MANY = 10_000


@dataclass(slots=True)
class _Use:
    """A tenant's calls: `level` of them in the bucket at time `at`, and those under way."""

    level: float = 0.0
    at: float = 0.0
    under_way: int = 0

    def drain(self, rate: int, now: float) -> None:
        self.level = max(0.0, self.level - rate * (now - self.at))
        self.at = now


class Admission:
    """Lets calls begin, or not."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._uses: dict[TenantId, _Use] = {}
        self._sweep_at = _MANY

    def __len__(self) -> int:
        """The tenants that are remembered."""
        return len(self._uses)

    @contextmanager
    def call(self, tenant: TenantId) -> Iterator[None]:
        """A call of `tenant`, under way while the block runs.

        Raises:
            TooManyCallsError: the tenant's rate, burst or concurrency is used up.
        """
        limit = self._limits.of(tenant)
        if limit is None:
            yield
            return
        use = self._begin(tenant, limit)
        try:
            yield
        finally:
            use.under_way -= 1

    def _begin(self, tenant: TenantId, limit: Limit) -> _Use:
        now = self._clock()
        use = self._uses.get(tenant)
        if use is None:
            self._forget(now)
            use = self._uses[tenant] = _Use(at=now)
        use.drain(limit.rate, now)
        if use.level > limit.burst:
            raise TooManyCallsError(f"tenant {tenant} may have {limit.rate} calls a second: send them more slowly")
        if use.under_way >= limit.concurrency:
            raise TooManyCallsError(f"tenant {tenant} may have {limit.concurrency} calls at once: wait for answers")
        use.level += 1.0
        use.under_way += 1
        return use

    def _forget(self, now: float) -> None:
        # A tenant with nothing in its bucket is like one that has never called.
        if len(self._uses) < self._sweep_at:
            return
        for tenant, use in tuple(self._uses.items()):
            limit = self._limits.of(tenant)
            if limit is not None:
                use.drain(limit.rate, now)
            if use.level == 0.0 and use.under_way == 0:
                del self._uses[tenant]
        self._sweep_at = max(_MANY, 2 * len(self._uses))
