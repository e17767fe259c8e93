"""`orchard compile`."""

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tools.compile.batch import BadSourceError, Compiled, Failed, compile_models, find_requests, new_version
from tools.compile.children import Limits
from tools.compile.config import DEFAULT_RELEASE, BadReleaseError, parse_release


def compile_command(
    source: Annotated[
        Path, typer.Argument(help="A model (.ubj, .json, or a .tar.gz holding one), or a folder of them.", exists=True)
    ],
    out: Annotated[Path, typer.Option(help="Folder the bundles go to.")] = Path("bundles"),
    tenant: Annotated[str | None, typer.Option(help="The tenant of a single model; else the file's name.")] = None,
    version: Annotated[int | None, typer.Option(min=1, max=2**63 - 1, help="Default: the time.")] = None,
    triton_release: Annotated[str, typer.Option(help="Triton release to serve on.")] = DEFAULT_RELEASE,
    jobs: Annotated[int | None, typer.Option(min=1, help="Models at once. Default: the CPUs.")] = None,
    entries: Annotated[Path | None, typer.Option(help="Leave the repository entries here too.")] = None,
    memory: Annotated[int, typer.Option(min=1, help="GiB of memory one model may take.")] = 4,
    seconds: Annotated[int, typer.Option(min=1, help="Seconds one model may take.")] = 600,
) -> None:
    """Turn XGBoost models into proved bundles.

    The error is the largest difference from XGBoost over about 2,000 rows made from the model's own splits. A
    missing value is NaN: XGBoost does not keep what else a model was trained to take for missing.

    Exit status 1: a model failed; the others are compiled. 2: nothing was compiled.
    """
    try:
        parse_release(triton_release)
        requests = find_requests(source, tenant, version or new_version(), triton_release)
    except (BadReleaseError, BadSourceError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    console = Console()
    results = list[Compiled | Failed]()
    progress = Progress(
        TextColumn("compiling"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with progress:
        bar = progress.add_task("compiling", total=len(requests))
        limits = Limits(memory << 30, seconds)
        with closing(compile_models(requests, out, jobs or os.cpu_count() or 1, limits, entries)) as compiling:
            for result in compiling:
                results.append(result)
                progress.advance(bar)
    compiled = [result for result in results if isinstance(result, Compiled)]
    failed = [result for result in results if isinstance(result, Failed)]
    _show_compiled(console, compiled, out)
    if failed:
        _show_failed(console, failed)
        raise typer.Exit(1)


def _show_compiled(console: Console, compiled: list[Compiled], out: Path) -> None:
    if not compiled:
        return
    table = Table("tenant", "objective", "features", "outputs", "trees", "resident MB", "error", box=None)
    for result in sorted(compiled, key=lambda result: result.manifest.tenant)[:_ROWS_SHOWN]:
        manifest = result.manifest
        table.add_row(
            manifest.tenant,
            manifest.objective,
            str(manifest.features),
            str(manifest.outputs),
            str(manifest.trees),
            f"{manifest.resident_bytes / 1e6:.1f}",
            f"{manifest.parity.max_error:.0e}" if manifest.parity.max_error else "0",
        )
    console.print(table)
    if len(compiled) > _ROWS_SHOWN:
        console.print(f"… and {len(compiled) - _ROWS_SHOWN} more")
    for note, count in _notes(compiled).items():
        console.print(f"Note: {note}" + (f" ({count} models)" if count > 1 else ""), highlight=False)
    resident = sum(result.manifest.resident_bytes for result in compiled)
    console.print(
        f"{len(compiled)} compiled into {out}, {resident / 1e6:,.0f} MB if all were resident", highlight=False
    )


def _show_failed(console: Console, failed: list[Failed]) -> None:
    table = Table("failed", "why", box=None)
    for result in sorted(failed, key=lambda result: result.source):
        table.add_row(str(result.source), result.reason)
    console.print(table)
    console.print(f"{len(failed)} failed", style="red")


def _notes(compiled: list[Compiled]) -> dict[str, int]:
    counts = dict[str, int]()
    for result in compiled:
        for note in result.manifest.notes:
            counts[note] = counts.get(note, 0) + 1
    return counts


_ROWS_SHOWN = 20
