"""Real servers for the tests of this folder, started once where tests can share them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.fronts import Front, run_front
from tests.integration.standin import StandIn
from tools import stack
from tools.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class TritonServer:
    """A real tritonserver that holds nothing at first. Addresses are host:port."""

    http: str
    grpc: str
    repository: Path
    pid: int


@pytest.fixture(scope="session")
def triton_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """One Triton for all tests that only look at it; whoever loads a model here unloads it."""
    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    repository.mkdir()
    http, grpc = (f"127.0.0.1:{port}" for port in stack.free_ports(2))
    with Supervisor([stack.triton(folder / "triton.log", repository, http, grpc)]) as running:
        yield TritonServer(http, grpc, repository, running.pids()["triton"])


@pytest.fixture(scope="session")
def _shared_front(triton_server: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with StandIn() as sidecar, run_front(tmp_path_factory.mktemp("front"), triton_server.http, sidecar) as front:
        yield front


@pytest.fixture
def front(_shared_front: Front) -> Front:
    """nginx before the shared Triton and a stand-in sidecar that has seen nothing yet."""
    _shared_front.sidecar.reset()
    return _shared_front
