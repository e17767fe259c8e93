"""A server for the tests of the FIL backend, and a way to put models into it."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from tritonclient.utils import InferenceServerException

from tests.fil_entries import Entry
from tests.integration.triton_process import TritonProcess

Serve = Callable[..., str]


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonProcess]:
    """A server for tests that must leave it alive."""
    with TritonProcess(tmp_path_factory.mktemp("fil")) as running:
        yield running
        assert running.is_alive()


@pytest.fixture
def serve(triton: TritonProcess, request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Write an entry, load it, and return its name; unloaded after the test."""
    names: list[str] = []
    numbers = count()

    def write_and_load(entry: Entry, model: bytes, file_name: str = "checkpoint.tl") -> str:
        name = f"m{abs(hash(request.node.nodeid)) % 10**12}-{next(numbers)}"
        entry.write(triton.repository, name, model, file_name)
        names.append(name)
        triton.load(name)
        return name

    yield write_and_load
    for name in names:
        triton.unload(name)


@pytest.fixture
def refusal(triton: TritonProcess, serve: Serve) -> Callable[..., str]:
    """Try to load an entry that must be refused; returns the message. The server is alive after it."""

    def message_of(entry: Entry, model: bytes, file_name: str = "checkpoint.tl") -> str:
        with pytest.raises(InferenceServerException) as refused:
            serve(entry, model, file_name)
        assert triton.is_alive()
        return str(refused.value.message())

    return message_of
