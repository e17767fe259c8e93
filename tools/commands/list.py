"""`orchard list`."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from tools.catalog.catalog import Catalog, NoSuchTenantError, StoredVersion
from tools.catalog.overview import TenantState, tenant_state, tenant_states
from tools.catalog.store import DEFAULT_STORE
from tools.catalog.tenant import TenantId, tenant_id
from tools.commands.store import EndpointOption, StoreOption, complaints, open_catalog

_JOBS = 16


def list_command(
    tenant: Annotated[str | None, typer.Argument(help="Show the versions of this tenant instead.")] = None,
    store: StoreOption = DEFAULT_STORE,
    endpoint_url: EndpointOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every tenant with its live version, or one tenant with all its versions."""
    with complaints("list"):
        catalog = open_catalog(store, endpoint_url)
        if tenant is None:
            _list_tenants(catalog, as_json)
        else:
            _list_versions(catalog, tenant_id(tenant), as_json)


def _list_tenants(catalog: Catalog, as_json: bool) -> None:
    states = sorted(tenant_states(catalog, _JOBS), key=lambda state: state.tenant)
    if as_json:
        typer.echo(json.dumps([_tenant_json(state) for state in states], indent=1))
        return
    table = Table("tenant", "live version", box=None)
    for name in ("bundle", "resident", "features"):
        table.add_column(name, justify="right")
    table.add_column("objective")
    table.add_column("published at")
    for state in states:
        table.add_row(*_tenant_row(state))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{len(states)} tenants")


def _tenant_row(state: TenantState) -> list[str]:
    pointer = state.pointer
    if pointer is None:
        return [state.tenant, f"[red]{state.problem}[/red]"]
    return [
        state.tenant,
        str(pointer.version),
        decimal(pointer.bundle_bytes),
        decimal(pointer.manifest.resident_bytes),
        str(pointer.manifest.features),
        pointer.manifest.objective,
        pointer.published_at[:19].replace("T", " "),
    ]


def _tenant_json(state: TenantState) -> dict[str, Any]:
    pointer = state.pointer
    if pointer is None:
        return {"tenant": state.tenant, "problem": state.problem}
    return {
        "tenant": state.tenant,
        "version": pointer.version,
        "bundle_bytes": pointer.bundle_bytes,
        "resident_bytes": pointer.manifest.resident_bytes,
        "features": pointer.manifest.features,
        "outputs": pointer.manifest.outputs,
        "objective": pointer.manifest.objective,
        "published_at": pointer.published_at,
    }


def _list_versions(catalog: Catalog, tenant: TenantId, as_json: bool) -> None:
    versions = catalog.versions(tenant)
    state = tenant_state(catalog, tenant)
    if not versions and state.pointer is None:
        raise NoSuchTenantError(f"there is no tenant {tenant!r}: orchard list shows those there are")
    live = state.pointer.version if state.pointer is not None else None
    if as_json:
        typer.echo(json.dumps([_version_json(stored, live) for stored in versions], indent=1))
        return
    table = Table("version", "", box=None)
    table.add_column("bundle", justify="right")
    for stored in versions:
        mark = "[green]live[/green]" if stored.version == live else ""
        table.add_row(str(stored.version), mark, decimal(stored.bundle_bytes))
    console = Console(highlight=False)
    console.print(table)
    if live is None:
        console.print(state.problem, style="red")


def _version_json(stored: StoredVersion, live: int | None) -> dict[str, Any]:
    return {"version": stored.version, "bundle_bytes": stored.bundle_bytes, "live": stored.version == live}
