"""`orchard render-gateway`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from tools.access.certificates import certificate_of
from tools.access.errors import AccessError
from tools.access.keys import read_keys
from tools.access.limits import Limits, read_limits
from tools.commands.access import ApiKeysOption, CertificateOption, KeyOption, LimitsOption
from tools.gateway import TEMPLATES, Forward, GatewaySettings, Scripting, ScriptingMissingError, render, render_keys

_BUILT_IN = "built-in"


def render_gateway_command(
    out: Annotated[Path, typer.Option(help="Folder for nginx.conf and the scripts it loads.")],
    listen: Annotated[str, typer.Option(help="host:port for clients.")] = "0.0.0.0:8000",
    triton: Annotated[str, typer.Option(help="host:port of Triton's HTTP.")] = "127.0.0.1:8500",
    sidecar: Annotated[str, typer.Option(help="host:port of the sidecar's cold path.")] = "127.0.0.1:8090",
    forward: Annotated[
        list[str] | None, typer.Option(help="host:port=host:port: connections passed on as they are. Repeatable.")
    ] = None,
    resolver: Annotated[str | None, typer.Option(help='DNS server where the parts are names, or "system".')] = None,
    njs: Annotated[str | None, typer.Option(help='The path of nginx\'s JavaScript module, or "built-in".')] = None,
    calls_log: Annotated[Path | None, typer.Option(help="File the sidecar reads: ORCHARD_FRONT_LOG.")] = None,
    folder: Annotated[Path, typer.Option(help="Where nginx may write.")] = Path("/tmp"),
    answer_seconds: Annotated[int, typer.Option(min=2, help="Longest wait for an answer.")] = 90,
    workers: Annotated[int, typer.Option(min=1, help="nginx processes.")] = 1,
    requests_per_address: Annotated[
        int, typer.Option(min=0, help="Requests under way for one client; 0 where another front is the only one.")
    ] = 1024,
    limits: LimitsOption = None,
    api_keys: ApiKeysOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
) -> None:
    """Write the configuration of a node's front, for an nginx that something else starts.

    Exit status 2: an option cannot be used.
    """
    try:
        keys = read_keys(api_keys) if api_keys else None
        front = GatewaySettings(
            listen=listen,
            triton=triton,
            sidecar=sidecar,
            folder=folder,
            # nginx's own name for the container's standard error.
            error_log=Path("stderr"),
            calls_log=calls_log,
            workers=workers,
            scripting=_scripting(njs, out),
            answer_seconds=answer_seconds,
            resolver=system_resolver() if resolver == "system" else resolver,
            forwards=tuple(_forward(text) for text in forward or ()),
            limits=read_limits(limits) if limits else Limits(),
            requests_per_address=requests_per_address,
            keys_map=None if keys is None else out.resolve() / "keys.conf",
            certificate=certificate_of(certificate, key),
        )
    except (AccessError, ScriptingMissingError) as error:
        typer.echo(f"orchard render-gateway: {error}", err=True)
        raise typer.Exit(2) from None
    out.mkdir(parents=True, exist_ok=True)
    for script in TEMPLATES.glob("*.js"):
        shutil.copy(script, out)
    if keys is not None:
        (out / "keys.conf").write_text(render_keys(keys))
    (out / "nginx.conf").write_text(render(front))


def system_resolver(configuration: Path = Path("/etc/resolv.conf")) -> str:
    """The first DNS server that this machine asks, as nginx writes addresses."""
    for line in configuration.read_text().splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            return f"[{words[1]}]" if ":" in words[1] else words[1]
    raise typer.BadParameter(f"{configuration} names no server", param_hint="--resolver")


def _scripting(njs: str | None, out: Path) -> Scripting | None:
    if not njs:
        return None
    return Scripting(None if njs == _BUILT_IN else Path(njs), out.resolve())


def _forward(text: str) -> Forward:
    listen, _, to = text.partition("=")
    if ":" not in listen or ":" not in to:
        raise typer.BadParameter(f"{text!r}: write it as 0.0.0.0:8001=sidecar:8001", param_hint="--forward")
    return Forward(listen, to)
