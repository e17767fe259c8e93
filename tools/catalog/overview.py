"""What is in a catalog, for people: every tenant, or every version of one."""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.catalog.catalog import Catalog, NoSuchTenantError
from tools.catalog.live import BadPointerError, LivePointer
from tools.catalog.parallel import as_ready
from tools.catalog.store import NOT_CHANGED
from tools.catalog.tenant import TenantId


@dataclass(frozen=True, slots=True)
class TenantState:
    """A tenant, its live pointer, or why it has none."""

    tenant: TenantId
    pointer: LivePointer | None
    problem: str | None = None


def tenant_states(catalog: Catalog, jobs: int) -> Iterator[TenantState]:
    """The state of every tenant, as each is known. One small read for every tenant, `jobs` at once."""
    return as_ready(lambda tenant: tenant_state(catalog, tenant), catalog.tenants(), jobs)


def tenant_state(catalog: Catalog, tenant: TenantId) -> TenantState:
    """The state of one tenant. Raises the store's errors only."""
    try:
        live = catalog.live(tenant)
    except NoSuchTenantError:
        return TenantState(tenant, None, "nothing is live")
    except BadPointerError as error:
        return TenantState(tenant, None, str(error))
    assert live is not NOT_CHANGED, "no etag was given"
    return TenantState(tenant, live.pointer)
