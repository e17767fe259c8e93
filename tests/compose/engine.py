"""A Docker engine of the test's own: nothing of it is left behind, and no other engine is touched."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_START_SECONDS = 30
_STOP_SECONDS = 60


class NoEngineError(RuntimeError):
    """There can be no Docker engine on this machine. The message says why."""


class Engine:
    """`dockerd` with all its state in `folder`; `environment` leads the docker commands to it.

    Raises (on entering):
        NoEngineError: it does not start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "dockerd.log"
        self._socket = folder / "docker.sock"
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self._socket}", "DOCKER_BUILDKIT": "0"}

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise NoEngineError("only root can start a Docker engine")
        for program in ("dockerd", "docker"):
            if shutil.which(program) is None:
                raise NoEngineError(f"there is no {program}: apt-get install docker.io docker-compose debootstrap")
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("dockerd", "--host", f"unix://{self._socket}", "--pidfile", str(folder / "dockerd.pid")),
                    *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
                ],
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + _START_SECONDS
        while subprocess.run(("docker", "version"), env=self.environment, capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > give_up:
                end = self._log.read_text()[-1500:]
                self._stop()
                raise NoEngineError(f"dockerd does not start here:\n{end}")
            time.sleep(0.2)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
