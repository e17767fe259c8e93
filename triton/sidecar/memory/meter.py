"""What single loads really added to Triton's memory, told from readings of it. Pure."""

from dataclasses import dataclass

from tools.catalog.tenant import TenantId

# Seconds without a load or an unload after which a reading counts: with jemalloc as it is set here, what loading took
# beside the model, and what unloaded models held, is given back within two.
SETTLED_SECONDS = 3.0
# A model smaller than so many times the noise is not measured, nor one smaller than so many bytes. Loads of one model
# of 20 MB were seen to differ by 0.2 %, of 5 MB by 4 %, of 1 MB by 10 %, and of 200 KB by half.
_ABOVE_NOISE = 5
_SMALLEST = 4 * 2**20
_FORGETTING = 0.9


@dataclass(frozen=True, slots=True)
class Held:
    """One model in memory: by `serial`, the slot that holds it; `reckoned` bytes as its manifest says."""

    tenant: TenantId
    serial: int
    version: int
    reckoned: int


@dataclass(frozen=True, slots=True)
class Measured:
    """A model, and the bytes that its load added."""

    model: Held
    added: int


@dataclass(frozen=True, slots=True)
class _Settled:
    holding: frozenset[Held]
    rss: int


class Meter:
    """Compares settled readings. Those between which one model came, and none left, tell what it added.

    The first model of a process is not measured: some megabytes that come with it are the server's own, for good.
    """

    def __init__(self) -> None:
        self._process: tuple[int, int] | None = None
        self._holding: frozenset[Held] = frozenset()
        self._still_since: float | None = None
        self._settled: _Settled | None = None
        self.noise = 0.0

    def look(
        self, now: float, process: tuple[int, int], rss: int, holding: frozenset[Held], is_moving: bool
    ) -> Measured | None:
        """Take in one reading.

        `now` is in seconds, `process` names the process whose memory `rss` is, `holding` are the models resident in
        it, and `is_moving` says whether others are loading or unloading.
        """
        if process != self._process:
            self._process, self._settled, self._still_since = process, None, None
        if is_moving or holding != self._holding or self._still_since is None:
            self._holding = holding
            self._still_since = None if is_moving else now
            return None
        if now - self._still_since < SETTLED_SECONDS:
            return None
        before, self._settled = self._settled, _Settled(holding, rss)
        return self._compare(before, self._settled) if before else None

    def _compare(self, before: _Settled, after: _Settled) -> Measured | None:
        change = after.rss - before.rss
        if after.holding == before.holding:
            self.noise = max(_FORGETTING * self.noise, abs(change))
            return None
        came = after.holding - before.holding
        if len(came) != 1 or not before.holding or not before.holding <= after.holding:
            return None
        (model,) = came
        if model.reckoned < max(_ABOVE_NOISE * self.noise, _SMALLEST):
            return None
        return Measured(model, change)
