"""The admin port's token, and where it may do without one."""

import base64
import ipaddress

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sidecar.access.admin import local_ipv4, local_ipv6, public_addresses, require_token

TOKEN = "a token: of some length"

# Beginning of a machine with one address of its own, as the kernel shows it.
FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 203.0.113.0/24 2 0 2
        |-- 203.0.113.0
           /24 link UNICAST
        |-- 203.0.113.7
           /32 host LOCAL
        |-- 203.0.113.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe800000000000000042acfffe110002 02 40 20 80     eth0
"""


def test_the_machines_own_addresses_are_read_from_the_kernel() -> None:
    assert [str(address) for address in local_ipv4(FIB_TRIE)] == ["203.0.113.7", "127.0.0.1"]
    assert list(local_ipv6(IF_INET6)) == [
        ipaddress.IPv6Address("::1"),
        ipaddress.IPv6Address("fe80::42:acff:fe11:2"),
    ]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "10.1.2.3", "172.17.0.2", "192.168.1.1", "100.64.0.9", "::1"]
)
def test_loopback_and_container_networks_are_not_public(host: str) -> None:
    assert public_addresses(host) == []


@pytest.mark.parametrize("host", ["8.8.8.8", "2001:4860:4860::8888"])
def test_what_the_internet_can_reach_is_public(host: str) -> None:
    assert public_addresses(host) == [host]


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        (f"bearer {TOKEN}", 401),
        (f"Basic {TOKEN}", 401),
        ("Basic " + base64.b64encode(b"anybody:wrong").decode(), 401),
        (f"Bearer {TOKEN}", 200),
        ("Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode(), 200),
    ],
)
async def test_only_who_has_the_token_is_answered(authorization: str | None, status: int) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with _client() as client:
        answer = await client.get("/metrics", headers=headers)
        assert answer.status == status
        if status == 401:
            assert "ORCHARD_ADMIN_TOKEN" in (await answer.json())["error"]
            assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert (await client.delete("/models/m37", headers=headers)).status == (404 if status == 200 else 401)


async def test_ping_is_open_to_probes() -> None:
    async with _client() as client:
        assert (await client.get("/ping")).status == 200
        for other in ("/ping/", "/pings", "/ping%2f..%2fmetrics"):
            assert (await client.get(other)).status == 401, other


def _client() -> TestClient[web.Request, web.Application]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=[require_token(TOKEN)])
    app.add_routes([web.get("/ping", answer), web.get("/metrics", answer)])
    return TestClient(TestServer(app))
