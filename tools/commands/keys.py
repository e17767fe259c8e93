"""`orchard keys`: who may call whom."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from tools.access.errors import AccessError
from tools.access.keys import ALL, add_key, read_keys, revoke_key
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id
from tools.stack import reload_keys

keys_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys; running nodes take changes up.")

FileOption = Annotated[Path, typer.Option(envvar="ORCHARD_API_KEYS", help="The file of keys: orchard up --api-keys.")]
StateOption = Annotated[Path, typer.Option(help="The state folder of the node, or fleet, that runs with the file.")]

_SHOWN = 8


@keys_app.command("new")
def new_command(
    tenants: Annotated[str, typer.Option(help="Whom it may call: a,b,c, or * for all.")],
    name: Annotated[str | None, typer.Option(help="What to call the key; picked when left out.")] = None,
    file: FileOption = Path("api-keys"),
    state: StateOption = Path(".orchard"),
) -> None:
    """Make a key and print it, this once: the file has its SHA-256 alone. Exit status 2: it could not be made."""
    try:
        secret, key = add_key(file, name, _tenants(tenants))
        running = _reload(file, state)
    except (AccessError, BadTenantIdError) as error:
        _complain("new", error)
    typer.echo(f"{key.name} is in {file}; {running}. The key, shown only now:", err=True)
    typer.echo(secret)


@keys_app.command("list")
def list_command(file: FileOption = Path("api-keys")) -> None:
    """Show which keys there are, and whom they may call. Exit status 2: the file cannot be used."""
    try:
        keys = read_keys(file)
    except AccessError as error:
        _complain("list", error)
    table = Table("key", "tenants", "SHA-256", box=None)
    for key in keys:
        names = sorted(key.tenants or ())
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        table.add_row(key.name, "all" if key.tenants is None else ", ".join(names[:_SHOWN]) + more, key.sha256[:16])
    Console(highlight=False).print(table)


@keys_app.command("revoke")
def revoke_command(
    name: Annotated[str, typer.Argument(help="As orchard keys list has it.")],
    file: FileOption = Path("api-keys"),
    state: StateOption = Path(".orchard"),
) -> None:
    """Take a key out of the file. Exit status 2: it could not be."""
    try:
        revoke_key(file, name)
        running = _reload(file, state)
    except AccessError as error:
        _complain("revoke", error)
    typer.echo(f"{name} is revoked; {running}")


def _tenants(text: str) -> frozenset[TenantId] | None:
    return None if text == ALL else frozenset(tenant_id(each.strip()) for each in text.split(","))


def _reload(file: Path, state: Path) -> str:
    """Tell the node, or the nodes of a fleet; says what became of it."""
    told = [folder for folder in (state, *state.glob("*-*")) if reload_keys(folder, file)]
    if told:
        return f"taken up by {len(told)} running node{'s' if len(told) > 1 else ''}"
    return f"no node runs with it from {state}; elsewhere, render the gateway again and send its nginx a SIGHUP"


def _complain(verb: str, error: Exception) -> NoReturn:
    typer.echo(f"orchard keys {verb}: {error}", err=True)
    raise typer.Exit(2) from None
