"""A real tritonserver, started the way a node starts it."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tritonclient import grpc

from tools import node_parts, ports
from tools.supervisor import Supervisor


class TritonProcess:
    """A tritonserver on free loopback ports with an empty repository in `folder`: `with TritonProcess(folder) as t`.

    `environment` is for launch.sh. Everything here goes over gRPC; `http` and `grpc` are host:port for other clients.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.repository = folder / "repository"
        self.repository.mkdir(parents=True)
        self.log = folder / "triton.log"
        self.http, self.grpc = (f"127.0.0.1:{port}" for port in ports.free_ports(2))
        started = node_parts.triton(self.log, self.repository, self.http, self.grpc)
        started = dataclasses.replace(started, environment={**started.environment, **(environment or {})})
        self._supervisor = Supervisor([started])

    def start(self) -> None:
        """Start it, and return once it is ready."""
        self._supervisor.start()
        self.client: Any = grpc.InferenceServerClient(self.grpc)

    def stop(self) -> None:
        self.client.close()
        self._supervisor.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._supervisor.pids()["triton"]

    @property
    def rss_bytes(self) -> int:
        """The server's resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProcessLookupError(self.pid)

    def is_alive(self) -> bool:
        return bool(self.client.is_server_live())

    def load(self, name: str) -> None:
        self.client.load_model(name)

    def unload(self, name: str) -> None:
        """Unload `name`, and return once it is gone."""
        self.client.unload_model(name)
        deadline = time.monotonic() + 10
        while self.client.is_model_ready(name) or self._state(name) == "UNLOADING":
            assert time.monotonic() < deadline, f"{name} is still there"
            time.sleep(0.01)

    def infer(self, name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model's answer to `rows`, in one request."""
        tensor = grpc.InferInput("input__0", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows)
        return np.asarray(self.client.infer(name, [tensor]).as_numpy("output__0"), np.float32)

    def statistics(self, name: str) -> Any:
        """ModelStatistics of the one loaded version."""
        (statistics,) = self.client.get_inference_statistics(name).model_stats
        return statistics

    def _state(self, name: str) -> str:
        models = self.client.get_model_repository_index().models
        return next((str(model.state) for model in models if model.name == name), "")
