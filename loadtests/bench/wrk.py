"""Drives load with `wrk`, which spends little enough itself to measure a front that costs tens of microseconds."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from loadtests.kserve import BinaryRequest

_SCRIPT = Path(__file__).with_name("infer.lua")


class WrkError(Exception):
    """wrk is not there, did not run, or some of its requests failed."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run of wrk saw. Times are in seconds."""

    requests: int
    duration: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.duration


def require_wrk() -> str:
    """The path of wrk.

    Raises:
        WrkError: it is not installed. The message says how to install it.
    """
    found = shutil.which("wrk")
    if found is None:
        raise WrkError("the benchmark drives its load with wrk, which is not here. As root: apt-get install wrk")
    return found


def drive(url: str, request: BinaryRequest, body_file: Path, connections: int, seconds: float) -> LoadResult:
    """Send `request` to `url` for `seconds`, one at a time on each of `connections`.

    `body_file` is where the body is put for wrk to read.

    Raises:
        WrkError: wrk failed, or any request did.
    """
    body_file.write_bytes(request.body)
    # One thread drives 70,000 requests a second, and leaves the cores to what is measured.
    command = [require_wrk(), "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s"]
    headers = [f"{name}: {value}" for name, value in request.headers.items()]
    command += ["-s", str(_SCRIPT), url, "--", str(body_file), *headers]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if finished.returncode != 0:
        raise WrkError(f"wrk exited with {finished.returncode}: {finished.stderr.strip() or finished.stdout.strip()}")
    return read_result(finished.stdout, url)


def read_result(output: str, url: str) -> LoadResult:
    """Read what `infer.lua` prints last.

    Raises:
        WrkError: some requests failed, or there were none.
    """
    raw = json.loads(output.strip().splitlines()[-1])
    if raw["refused"] or raw["broken"] or not raw["requests"]:
        raise WrkError(
            f"{url}: of {raw['requests']} requests {raw['refused']} were refused and {raw['broken']} got no answer"
        )
    return LoadResult(raw["requests"], raw["duration"] / 1e6, raw["p50"] / 1e6, raw["p99"] / 1e6)
