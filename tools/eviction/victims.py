"""Who is evicted to make room, of the residents as a policy ranks them. The same for a node and for the planner."""

from collections.abc import Callable, Iterable, Iterator

from tools.catalog.tenant import TenantId

# Seconds that a model is spared for after its load. Where more tenants are called than fit it keeps those that were
# just loaded from chasing each other out. On the churn mix's traces it costs no hit; twenty seconds cost one call in a
# hundred where calls are independent.
MINIMUM_RESIDENCE = 2.0


def choose_victims(
    ranked: Iterable[TenantId],
    excess: int,
    size_of: Callable[[TenantId], int],
    is_young: Callable[[TenantId], bool],
) -> tuple[TenantId, ...]:
    """The first of `ranked` that hold `excess` bytes together; the young only when the others are not enough.

    Returns all of them when even they are not enough.
    """
    victims: list[TenantId] = []
    for tenant in _young_last(ranked, is_young):
        if excess <= 0:
            break
        victims.append(tenant)
        excess -= size_of(tenant)
    return tuple(victims)


def _young_last(ranked: Iterable[TenantId], is_young: Callable[[TenantId], bool]) -> Iterator[TenantId]:
    young = []
    for tenant in ranked:
        if is_young(tenant):
            young.append(tenant)
        else:
            yield tenant
    yield from young
