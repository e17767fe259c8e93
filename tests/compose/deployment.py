"""docker-compose.yml, brought up and looked at through the commands that people use."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compose.images import ROOT

# There is no Grafana to be had without a registry.
SERVICES = ("nginx", "triton", "sidecar", "seaweedfs", "prometheus")
JOBS = ("gateway-config", "bucket", "seed")
HTTP, GRPC = "127.0.0.1:8000", "127.0.0.1:8001"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The project `orchard` in the engine that `environment` leads to."""

    environment: Mapping[str, str]
    override: Path

    def compose(self, *arguments: str) -> str:
        """Run docker-compose, or docker compose where it is the one installed; returns what it says."""
        command = ("docker-compose",) if shutil.which("docker-compose") else ("docker", "compose")
        files = ("-f", str(ROOT / "docker-compose.yml"), "-f", str(self.override))
        return _run((*command, "-p", "orchard", *files, *arguments), self.environment)

    def inspect(self, service: str) -> Any:
        """Docker's description of the service's container."""
        return json.loads(_run(("docker", "inspect", self._container(service)), self.environment))[0]

    def kill(self, service: str) -> None:
        """SIGKILL to the container's process. Docker takes this for a crash, unlike `docker kill`."""
        os.kill(self.inspect(service)["State"]["Pid"], signal.SIGKILL)

    def restarts(self, service: str) -> int:
        """How often Docker has restarted the service."""
        return int(self.inspect(service)["RestartCount"])

    def is_healthy(self, service: str) -> bool:
        """Whether the container runs and its health check says so."""
        state = self.inspect(service)["State"]
        return bool(state["Running"]) and state["Health"]["Status"] == "healthy"

    def has_ended(self, service: str) -> bool:
        """Whether a one-shot service is done."""
        return self.job_status(service) is not None

    def job_status(self, service: str) -> int | None:
        """Exit status of a one-shot service; None while it runs."""
        state = self.inspect(service)["State"]
        return int(state["ExitCode"]) if state["Status"] == "exited" else None

    def logs(self, service: str) -> str:
        """The end of what the service has said."""
        return _run(("docker", "logs", "--tail", "40", self._container(service)), self.environment)

    def _container(self, service: str) -> str:
        named = ("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.service={service}")
        return _run(named, self.environment).strip()


def wait_until(is_so: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for `is_so`; returns the seconds it took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)
    return time.monotonic() - began


def _run(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}"
    return done.stdout
