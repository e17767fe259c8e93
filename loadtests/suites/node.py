"""A node for a suite: on free ports, with the suite's tenants in its store."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loadtests.s3 import s3_server
from loadtests.suites.suite import Budgets
from tools.node_settings import NodeSettings
from tools.stack import Node
from tools.supervisor import Supervisor


@contextmanager
def node_on(store: Path, budgets: Budgets, scratch: Path, on_s3: bool) -> Iterator[Node]:
    """A node on the folder store `store`, or with `on_s3` on an S3 server that has its parent's folders as buckets.

    The variables by which S3 is found stay in this process's environment.
    """
    with ExitStack() as stack:
        address = str(store)
        if on_s3:
            server, variables = s3_server(store.parent, scratch / "s3.log")
            os.environ.update(variables)
            stack.enter_context(Supervisor([server]))
            address = f"s3://{store.name}"
        settings = NodeSettings(
            store=address,
            state=scratch / "node",
            repository=scratch / "repository",
            http_port=0,
            grpc_port=0,
            admin_port=0,
            memory_budget=budgets.memory,
            disk_budget=budgets.disk,
            pinned=budgets.pinned,
        )
        yield stack.enter_context(Node(settings))
