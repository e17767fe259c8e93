"""What a load added is told only when nothing else came or left, and memory was quiet."""

from sidecar.memory.meter import SETTLED_SECONDS, Held, Measured, Meter

from tools.catalog.tenant import TenantId

MB = 10**6
ME, OTHER = (7, 1), (8, 2)
A, B, C = (Held(TenantId(name), serial, 1, 20 * MB) for serial, name in enumerate("abc"))
SMALL = Held(TenantId("small"), 9, 1, MB)


class Bench:
    """A meter and a clock that is always as far on as it takes for a reading to count."""

    def __init__(self) -> None:
        self.meter = Meter()
        self.now = 0.0

    def settle(self, rss: int, *holding: Held, process: tuple[int, int] = ME) -> Measured | None:
        """Two looks at the same holding, so far apart that the second counts."""
        assert self.look(rss, *holding, process=process) is None
        self.now += SETTLED_SECONDS
        return self.look(rss, *holding, process=process)

    def look(self, rss: int, *holding: Held, is_moving: bool = False, process: tuple[int, int] = ME) -> Measured | None:
        return self.meter.look(self.now, process, rss, frozenset(holding), is_moving)


def test_one_model_that_came_alone_is_measured() -> None:
    bench = Bench()
    assert bench.settle(100 * MB, A) is None
    assert bench.settle(127 * MB, A, B) == Measured(B, 27 * MB)


def test_it_is_measured_once() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    bench.settle(127 * MB, A, B)
    bench.now += 1
    assert bench.look(127 * MB, A, B) is None


def test_the_first_one_of_all_is_not_measured() -> None:
    bench = Bench()
    bench.settle(100 * MB)
    assert bench.settle(127 * MB, A) is None


def test_before_memory_is_quiet_nothing_is_told() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    bench.look(160 * MB, A, B)
    bench.now += SETTLED_SECONDS / 2
    assert bench.look(130 * MB, A, B) is None
    bench.now += SETTLED_SECONDS / 2
    assert bench.look(127 * MB, A, B) == Measured(B, 27 * MB)


def test_two_that_came_together_are_not_measured() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    assert bench.settle(150 * MB, A, B, C) is None


def test_one_that_came_as_another_left_is_not_measured() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    assert bench.settle(101 * MB, B) is None


def test_one_that_came_and_left_again_between_is_not_taken_for_another() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    bench.look(120 * MB, A, B)
    bench.look(120 * MB, A, is_moving=True)
    assert bench.settle(125 * MB, A, C) == Measured(C, 25 * MB)


def test_while_anything_moves_nothing_settles() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    bench.look(120 * MB, A, B)
    bench.now += SETTLED_SECONDS
    assert bench.look(120 * MB, A, B, is_moving=True) is None
    assert bench.look(120 * MB, A, B) is None


def test_a_model_too_small_for_the_noise_is_not_measured() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    assert bench.settle(101 * MB, A, SMALL) is None
    for swing in (0, 5 * MB):
        bench.now += 1
        bench.look(101 * MB + swing, A, SMALL)
    assert bench.meter.noise == 5 * MB
    assert bench.settle(125 * MB, A, SMALL, B) is None


def test_a_triton_that_started_anew_is_not_compared_with_the_one_before() -> None:
    bench = Bench()
    bench.settle(100 * MB, A)
    assert bench.settle(130 * MB, A, B, process=OTHER) is None
