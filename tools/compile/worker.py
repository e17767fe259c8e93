"""What a child process runs. Importing it brings in XGBoost and treelite, but not scikit-learn.

XGBoost imports scikit-learn, where there is one, for the sake of its estimators. That takes twice as long as
everything a compile needs, and the first call of a drop-in archive waits for it. So in a process that has not
imported either yet, XGBoost is told that there is none.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tools.catalog.bundle import write_bundle
from tools.compile.children import JsonObject
from tools.compile.request import Job


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    modules: dict[str, Any] = sys.modules
    if name in modules:
        yield
        return
    # None is how Python marks a module that must not be imported.
    modules[name] = None
    try:
        yield
    finally:
        del modules[name]


with _hidden("sklearn"):
    from tools.compile.entry import compile_entry

__all__ = ["compile_entry", "compile_job"]


def compile_job(job: Job) -> JsonObject:
    """Compile `job.request` into `job.entry`, and pack it into `job.bundle`. For `run_in_children`."""
    manifest = compile_entry(job.request, job.entry)
    write_bundle(job.entry, manifest, job.bundle)
    return {"manifest": json.loads(manifest.to_json())}
