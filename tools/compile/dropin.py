"""Compile one model that nobody has looked at yet.

`python -m tools.compile.dropin ARCHIVE --tenant T --version V --out DIR`

This process holds itself to limits of memory and time, and only ever writes into `--out`: the finished entry appears
in `<out>/<tenant>/` in one rename, `manifest.json` in it. What it has to say is one JSON object on standard output.

Exit status and output:
    0  {"manifest": {...}}   the entry is there
    1  {"broken": "..."}     something unexpected: worth another try
    2                        bad arguments (a message on standard error)
    3  {"refused": "..."}    the model cannot be served, and never will be as it is

A reader that crashes or takes too long ends the process by a signal, with no output: `children.failure_of` has the
words for it. It may then leave a folder `.compiling-*` in `--out`, so give it a folder that is removed afterwards.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from tools.catalog.tenant import BadTenantIdError, tenant_id
from tools.compile.children import JsonObject, Limits, answer_of
from tools.compile.config import DEFAULT_RELEASE, BadReleaseError, parse_release
from tools.compile.request import Request
from tools.compile.worker import compile_entry

BROKEN, BAD_ARGUMENTS, REFUSED = 1, 2, 3


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        parse_release(options.triton_release)
        request = Request(options.archive, tenant_id(options.tenant), options.version, options.triton_release)
        if (options.out / request.tenant).exists():
            raise FileExistsError(f"{options.out / request.tenant} is there already")
    except (BadReleaseError, BadTenantIdError, FileExistsError) as error:
        print(error, file=sys.stderr)
        return BAD_ARGUMENTS
    output = _keep_output_clean()
    Limits(options.memory_bytes, options.seconds).apply_to_this_process()
    answer = answer_of(lambda: _compile(request, options.out))
    with os.fdopen(output, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)
    return REFUSED if "refused" in answer else BROKEN if "broken" in answer else 0


def _compile(request: Request, out: Path) -> JsonObject:
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".compiling-", dir=out) as scratch:
        entry = Path(scratch) / "entry"
        manifest = compile_entry(request, entry)
        entry.rename(out / request.tenant)
    answer: JsonObject = {"manifest": json.loads(manifest.to_json())}
    return answer


def _keep_output_clean() -> int:
    """Send to standard error whatever a library prints, and return what was standard output."""
    output = os.dup(1)
    os.dup2(2, 1)
    return output


def _parser() -> argparse.ArgumentParser:
    limits = Limits(memory_bytes=2 << 30, seconds=60)
    parser = argparse.ArgumentParser(prog="python -m tools.compile.dropin", description="Compile an unverified model.")
    parser.add_argument("archive", type=Path, help="a .tar.gz holding one XGBoost model, or a model file")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--version", required=True, type=_version)
    parser.add_argument("--out", required=True, type=Path, help="the folder the entry's folder appears in")
    parser.add_argument("--triton-release", default=DEFAULT_RELEASE)
    parser.add_argument("--memory-bytes", type=int, default=limits.memory_bytes)
    parser.add_argument("--seconds", type=int, default=limits.seconds)
    return parser


def _version(text: str) -> int:
    version = int(text)
    if not 1 <= version < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a version: a whole number from 1 to 2**63 - 1")
    return version


if __name__ == "__main__":
    # Somebody's first call waits for this process. XGBoost would import scikit-learn if it were there, which takes
    # two thirds of the time and is of no use here.
    sys.modules["sklearn"] = None  # type: ignore[assignment]
    sys.exit(main())
