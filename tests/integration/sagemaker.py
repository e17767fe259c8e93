"""A real boto3 client on a node, and the same node behind a front without JavaScript."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from botocore.config import Config

from tests.models import Rows
from tools import node_parts, ports
from tools.gateway import GatewaySettings
from tools.stack import Node
from tools.supervisor import Supervisor

ENDPOINT = "fraud-models"


def runtime(url: str, config: Config | None = None, access_key: str = "dummy", verify: str | None = None) -> Any:
    """The client as users have it, with only its address changed; `verify` is a certificate to trust."""
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id=access_key,
        aws_secret_access_key="dummy",
        config=config,
        verify=verify,
    )


def csv_of(rows: Rows) -> bytes:
    """Rows as pandas writes them: a missing value is blank."""
    return "\n".join(",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in rows).encode()


def invoke(client: Any, target: str, body: bytes, content_type: str = "text/csv", **options: str) -> bytes:
    """One call; the body of its answer."""
    answer = client.invoke_endpoint(
        EndpointName=ENDPOINT, TargetModel=target, Body=body, ContentType=content_type, **options
    )
    content: bytes = answer["Body"].read()
    return content


@contextmanager
def front_without_scripting(node: Node, folder: Path) -> Iterator[str]:
    """A second front before the node's Triton and sidecar, as an nginx with no njs would be: its URL."""
    folder.mkdir()
    (port,) = ports.free_ports(1)
    settings = GatewaySettings(
        listen=f"127.0.0.1:{port}",
        triton=node.at.triton_http,
        sidecar=node.at.sidecar_http,
        folder=folder,
        error_log=folder / "error.log",
        user=node_parts.workers_user(folder),
    )
    with Supervisor([node_parts.nginx(settings)]):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def sidecar_stopped(node: Node) -> Iterator[None]:
    """While the block runs the sidecar answers nobody: what is answered comes from nginx and Triton."""
    os.kill(node.pid("sidecar"), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.pid("sidecar"), signal.SIGCONT)
