"""The admin port's token, and where it may do without one."""

import base64
import binascii
import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

# Probes of container runtimes carry no headers, and it names no tenant.
_OPEN = "/ping"


def require_token(token: str) -> Middleware:
    """Refuse whatever does not carry `token`, as a bearer token or as the password of a browser."""

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.path == _OPEN or _is_token(request.headers.get("Authorization", ""), token):
            return await handler(request)
        return web.json_response(
            {"error": "the admin port asks for ORCHARD_ADMIN_TOKEN: send Authorization: Bearer <token>"},
            status=401,
            headers={"WWW-Authenticate": 'Basic realm="orchard: any name, the admin token as password"'},
        )

    return check


def public_addresses(host: str) -> list[str]:
    """The addresses that the whole internet could reach, among those that a server bound to `host` listens on."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    for *_, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
        bound = ipaddress.ip_address(str(address[0]).partition("%")[0])
        found += _of_this_machine(bound.version) if bound.is_unspecified else [bound]
    return sorted({str(address) for address in found if address.is_global})


def local_ipv4(fib_trie: str) -> Iterable[ipaddress.IPv4Address]:
    """The machine's own addresses in what /proc/net/fib_trie says."""
    for line, about in pairwise(fib_trie.splitlines()):
        if about.strip() == "/32 host LOCAL":
            yield ipaddress.IPv4Address(line.split()[-1])


def local_ipv6(if_inet6: str) -> Iterable[ipaddress.IPv6Address]:
    """The machine's own addresses in what /proc/net/if_inet6 says."""
    for line in if_inet6.splitlines():
        yield ipaddress.IPv6Address(int(line.split()[0], 16))


def _of_this_machine(version: int) -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    file = Path("/proc/net/fib_trie" if version == 4 else "/proc/net/if_inet6")
    if not file.exists():
        return ()
    return tuple(local_ipv4(file.read_text()) if version == 4 else local_ipv6(file.read_text()))


def _is_token(authorization: str, token: str) -> bool:
    kind, _, sent = authorization.partition(" ")
    if kind == "Basic":
        try:
            sent = base64.b64decode(sent, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif kind != "Bearer":
        return False
    return hmac.compare_digest(sent.encode(errors="surrogateescape"), token.encode())
