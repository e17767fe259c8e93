"""`python -m sidecar`: settings from the environment, SIGTERM and SIGINT stop it."""

import asyncio
import os
import signal
import sys

# gRPC's fork handlers have nothing to do here: the children that compile drop-ins begin with an exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uvloop
from prometheus_client import disable_created_metrics

from sidecar.node import run
from sidecar.observability.logs import configure_logging
from sidecar.observability.tracing import open_tracing
from sidecar.settings import BadSettingError, Settings
from tools.catalog.store import StoreError


async def _main(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tracing = open_tracing(os.environ)
    try:
        await run(settings, tracing, stop)
    finally:
        tracing.close()


def main() -> int:
    """Run the sidecar; the exit status is 0 after a signal, 1 when it cannot run, 2 for a bad setting."""
    try:
        settings = Settings.from_environment(os.environ)
        configure_logging(settings.log_format)
        disable_created_metrics()  # type: ignore[no-untyped-call]
        uvloop.run(_main(settings))
    except BadSettingError as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 2
    except (OSError, StoreError) as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
