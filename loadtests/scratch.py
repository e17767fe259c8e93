"""A folder for one run, under `.orchard/` so that it is on the same disk as a real node's."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def scratch_folder(name: str, keep: bool = False) -> Iterator[Path]:
    """A new folder, removed at the end unless it is to be kept."""
    home = Path(".orchard")
    home.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home)).resolve()
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
