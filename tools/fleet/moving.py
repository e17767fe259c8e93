"""Moving a tenant from one pool to another while calls arrive: the new home first, then the routes, then the old."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from tools.admin import admin_request
from tools.catalog.tenant import TenantId
from tools.fleet.description import FleetDescription, read_fleet, write_fleet
from tools.fleet.front import FrontRefusedError, reload_front, routed
from tools.fleet.running import NodeAddress, RunningFleet, read_running

_PIN_SECONDS = 90.0


class MoveError(RuntimeError):
    """The tenant was not moved: it is served where it was. The message says why."""


def promote(fleet_file: Path, state: Path, tenant: TenantId, pool: str) -> list[str]:
    """Dedicate `tenant` to `pool` in the fleet file and, if the fleet runs from `state`, in the fleet.

    Returns what the user should know. The model is not compiled or published again: the new node loads the same bundle.

    Raises:
        BadFleetError: the file, or what is asked of it.
        MoveError: a node or the front refused; nothing has changed.
    """
    before = read_fleet(fleet_file)
    return _move(fleet_file, state, tenant, before, before.promote(tenant, pool))


def demote(fleet_file: Path, state: Path, tenant: TenantId) -> list[str]:
    """Make `tenant` shared again. Returns and raises as `promote`."""
    before = read_fleet(fleet_file)
    return _move(fleet_file, state, tenant, before, before.demote(tenant))


def _move(
    fleet_file: Path, state: Path, tenant: TenantId, before: FleetDescription, after: FleetDescription
) -> list[str]:
    running = read_running(state)
    if running is None:
        write_fleet(fleet_file, after)
        return [f"no fleet runs from {state}: this takes effect when it is started"]
    notes = _prepare(running, tenant, after)
    try:
        reload_front(routed(running.front, after))
    except FrontRefusedError as error:
        _unpin(running, tenant, keep=before)
        raise MoveError(str(error)) from None
    write_fleet(fleet_file, after)
    _unpin(running, tenant, keep=after)
    return notes


def _prepare(running: RunningFleet, tenant: TenantId, after: FleetDescription) -> list[str]:
    """Have the tenant in memory at its new home, to stay there if it is a dedicated one."""
    home = after.dedicated.get(tenant)
    if home is None:
        return []
    nodes = running.nodes.get(home)
    if nodes is None:
        raise MoveError(f"pool {home} was added to the fleet file after the fleet was started: start it again")
    for node in nodes:
        if node.admin is not None:
            _call("PUT", node.admin, tenant)
    remote = [node.http for node in nodes if node.admin is None]
    return [f"pin {tenant} on {', '.join(remote)} too: ORCHARD_PINNED of their sidecars"] if remote else []


def _unpin(running: RunningFleet, tenant: TenantId, keep: FleetDescription) -> None:
    for node in _nodes_without(running, tenant, keep):
        if node.admin is not None:
            _call("DELETE", node.admin, tenant)


def _nodes_without(running: RunningFleet, tenant: TenantId, fleet: FleetDescription) -> Iterable[NodeAddress]:
    for pool, nodes in running.nodes.items():
        if tenant not in fleet.pinned_in(pool):
            yield from nodes


def _call(method: str, admin: str, tenant: TenantId) -> None:
    request = admin_request(admin, f"/models/{tenant}/pin", method)
    try:
        with urllib.request.urlopen(request, timeout=_PIN_SECONDS):
            return
    except urllib.error.HTTPError as refusal:
        said = json.loads(refusal.read() or b"{}").get("error", refusal.reason)
        raise MoveError(f"the node at {admin} will not hold {tenant}: {said}") from None
    except OSError as error:
        raise MoveError(f"the node at {admin} does not answer: {error}") from None
