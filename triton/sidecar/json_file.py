"""Small JSON files that are replaced as a whole, so that a reader finds the old one or the new one."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, state: dict[str, Any]) -> None:
    """Put `state` in place of what `path` held, and return when it is on the disk. Raises OSError."""
    part = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
