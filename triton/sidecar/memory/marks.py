"""When memory is short, and how much of it models may have then. Pure."""

from dataclasses import dataclass

# Models that left and took less than this share of their bytes with them have left them to the allocator.
_GIVEN_BACK = 0.25
# Below this share of the budget the ceiling never goes: it is not models then that memory is short of.
_LEAST = 0.25
# What is used has grown when it has by so large a share of the limit.
_GROWN = 0.01


@dataclass(frozen=True, slots=True)
class Marks:
    """Shares of the limit: above `high` models are evicted until `low` would be reached."""

    high: float
    low: float


DEFAULT_MARKS = Marks(0.85, 0.75)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What models may hold, `bytes` by the sidecar's reckoning.

    `used` is what was really used when it was lowered last, and `taken` what models had to give up then.
    """

    bytes: int
    used: int = 0
    taken: int = 0


def next_ceiling(before: Ceiling, used: int, limit: int, held: int, budget: int, marks: Marks) -> Ceiling:
    """The ceiling from now on; the one before, unchanged, when there is no reason to move it.

    `used` and `limit` are bytes as measured, `held` what models hold by reckoning, `budget` the highest ceiling.
    Evicting goes on for as long as it helps. Where the allocator keeps what models leave it does not: the next ones
    use that again, and the ceiling is lowered further only if more is used than before.
    """
    low = int(marks.low * limit)
    if used > marks.high * limit:
        helped = used < before.used - _GIVEN_BACK * before.taken
        grew = used > before.used + _GROWN * limit
        if before.bytes < budget and not helped and not grew:
            return before
        lowered = max(min(before.bytes, held) - (used - low), int(_LEAST * budget))
        return Ceiling(lowered, used, max(held - lowered, 0))
    if used <= low and before.bytes < budget:
        raised = max(before.bytes, held + low - used)
        return Ceiling(budget) if raised >= budget else Ceiling(raised, used)
    return before
