"""Real servers for the tests of this folder, started once where tests can share them."""

from collections.abc import Iterator

import pytest

from tests.integration.fronts import Front, run_front
from tests.integration.standin import StandIn
from tests.integration.triton_process import TritonProcess


@pytest.fixture(scope="session")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonProcess]:
    """A Triton that holds nothing at first; whoever loads a model into it unloads it."""
    with TritonProcess(tmp_path_factory.mktemp("triton")) as running:
        yield running


@pytest.fixture(scope="session")
def _shared_front(triton_server: TritonProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with StandIn() as sidecar, run_front(tmp_path_factory.mktemp("front"), triton_server.http, sidecar) as front:
        yield front


@pytest.fixture
def front(_shared_front: Front) -> Front:
    """nginx before the shared Triton and a stand-in sidecar that has seen nothing yet."""
    _shared_front.sidecar.reset()
    return _shared_front
