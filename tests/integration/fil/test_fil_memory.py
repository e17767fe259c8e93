"""What a loaded model takes, and that it is all given back."""

import time
from collections.abc import Callable, Iterator

import pytest
import treelite

from tests.fil_entries import Entry
from tests.integration.triton_process import TritonProcess
from tests.models import FEATURES, train

MODELS = 12
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonProcess]:
    """A server that nothing else measures or uses."""
    with TritonProcess(tmp_path_factory.mktemp("memory")) as running:
        yield running


@pytest.fixture(scope="module")
def model() -> bytes:
    """About 4 MB: one small model repeated, since size is all that matters here."""
    one = treelite.frontend.from_xgboost(train("reg:squarederror", rounds=100, depth=9).booster)
    return bytes(treelite.Model.concatenate([one] * 10).serialize_bytes())


def test_models_take_little_more_than_their_files_and_give_it_back(alone: TritonProcess, model: bytes) -> None:
    names = [f"m{number}" for number in range(MODELS)]
    for name in names:
        Entry(FEATURES, 2).write(alone.repository, name, model)
    before = alone.rss_bytes
    loaded = _cycle(alone, names)
    assert loaded - before <= MODELS * (1.4 * len(model) + MEGABYTE)
    time.sleep(2)  # jemalloc's dirty_decay_ms, and some
    first = alone.rss_bytes
    for _ in range(4):
        assert _cycle(alone, names) <= loaded + 8 * MEGABYTE
    _wait_until(lambda: alone.rss_bytes <= first + 4 * MEGABYTE)


def _cycle(triton: TritonProcess, names: list[str]) -> int:
    """Load all and unload all; returns the server's memory in between."""
    for name in names:
        triton.load(name)
    loaded = triton.rss_bytes
    for name in names:
        triton.unload(name)
    return loaded


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "memory was not given back"
        time.sleep(0.05)
