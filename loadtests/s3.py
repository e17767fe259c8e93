"""A real S3 server on a folder of this machine, for load tests: `rclone serve s3`, read only."""

import os
import shutil
import sys
from pathlib import Path

from tools.ports import LOOPBACK, free_ports
from tools.process import Process

_KEY, _SECRET = "orchard", "orchardsecret"


class S3MissingError(RuntimeError):
    """There is no rclone. The message says how to get one."""


def s3_server(objects: Path, log: Path) -> tuple[Process, dict[str, str]]:
    """A server of the buckets in `objects`, to be run by a supervisor, and the variables by which clients find it."""
    (port,) = free_ports(1)
    address = f"{LOOPBACK}:{port}"
    process = Process(
        name="s3",
        command=(
            *(_rclone(), "serve", "s3", str(objects.resolve()), "--addr", address, "--auth-key", f"{_KEY},{_SECRET}"),
            *("--config", os.devnull, "--read-only"),
        ),
        log=log,
        ready_url=f"http://{address}/",
        ready_status=400,  # that nothing was signed
    )
    environment = {
        "ORCHARD_S3_ENDPOINT_URL": f"http://{address}",
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return process, environment


def _rclone() -> str:
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise S3MissingError("there is no rclone: run make setup")
    return found
