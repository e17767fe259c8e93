"""Where the parts of a node are put."""

import socket

import pytest

from tools.node_settings import Addresses, NodeSettings
from tools.ports import PortTakenError, free_ports


def test_ports_asked_for_are_used_and_all_others_differ() -> None:
    http, admin = free_ports(2)
    at = Addresses.choose(NodeSettings("store", http_port=http, grpc_port=0, admin_port=admin))
    assert at.http == f"127.0.0.1:{http}"
    assert at.admin == f"127.0.0.1:{admin}"
    assert len({at.http, at.grpc, at.admin, at.triton_http, at.triton_grpc, at.sidecar_http}) == 6


def test_only_clients_addresses_leave_the_loopback() -> None:
    at = Addresses.choose(NodeSettings("store", host="0.0.0.0", http_port=0, grpc_port=0, admin_port=0))
    assert [address.split(":")[0] for address in (at.http, at.grpc)] == ["0.0.0.0", "0.0.0.0"]
    for private in (at.admin, at.triton_http, at.triton_grpc, at.sidecar_http):
        assert private.startswith("127.0.0.1:")


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port} of 127.0.0.1"):
            Addresses.choose(NodeSettings("store", http_port=0, grpc_port=port, admin_port=0))
