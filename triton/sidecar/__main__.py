"""`python -m sidecar`: settings from the environment, SIGTERM and SIGINT stop it."""

import asyncio
import os
import signal
import sys

# gRPC's fork handlers have nothing to do here: the children that compile drop-ins begin with an exec.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uvloop
from prometheus_client import disable_created_metrics

from sidecar.access.admin import public_addresses
from sidecar.node import run
from sidecar.observability.logs import configure_logging
from sidecar.observability.tracing import open_tracing
from sidecar.settings import BadSettingError, Settings
from tools.access.keys import BadKeysError
from tools.catalog.store import StoreError


def _refuse_open_admin(settings: Settings) -> None:
    exposed = [] if settings.admin_token else public_addresses(settings.admin.host)
    if exposed:
        raise BadSettingError(
            f"ORCHARD_ADMIN={settings.admin} can be reached from outside, at {', '.join(exposed)}: "
            "bind it to loopback or a private address, or set ORCHARD_ADMIN_TOKEN"
        )


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
        _refuse_open_admin(settings)
        configure_logging(settings.log_format)
        disable_created_metrics()  # type: ignore[no-untyped-call]
        uvloop.run(_main(settings))
    except (BadSettingError, BadKeysError) as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 2
    except (OSError, StoreError) as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
