"""Ports of this machine."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes the ports of outgoing connections.
_FREE_PORTS = range(20_000, 32_000)


class PortTakenError(RuntimeError):
    """A public port is in use. The message names it."""


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """`count` different ports that nothing listens on at this moment."""
    picked: set[int] = set()
    while len(picked) < count:
        port = random.choice(_FREE_PORTS)
        if is_free(host, port):
            picked.add(port)
    return list(picked)


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
