"""What models were measured to hold, kept in a file across restarts."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from sidecar.json_file import write_json
from sidecar.memory.sizes import Sizes

log = logging.getLogger(__name__)

_FORMAT = 1
SAVE_INTERVAL = 60.0  # seconds


class SizesFile:
    """One small JSON file, replaced as a whole. One that is missing or damaged is a fresh start, never a failure."""

    def __init__(self, path: Path, sizes: Sizes) -> None:
        self._path = path
        self._sizes = sizes
        self._saved: dict[str, Any] = sizes.to_json()

    def restore(self) -> None:
        """Take up what the last run measured."""
        try:
            state = json.loads(self._path.read_bytes())
            if state["format"] != _FORMAT:
                raise ValueError(f"format {state['format']!r}")
            self._sizes.restore(state["sizes"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s cannot be used (%r): models count as they were reckoned", self._path, error)

    def save(self) -> None:
        """Write it, atomically, if there is news. What cannot be written is logged."""
        self._write(self._sizes.to_json())

    async def run(self) -> None:
        """Save now and then until cancelled."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            await asyncio.to_thread(self._write, self._sizes.to_json())

    def _write(self, sizes: dict[str, Any]) -> None:
        if sizes == self._saved:
            return
        try:
            write_json(self._path, {"format": _FORMAT, "sizes": sizes})
            self._saved = sizes
        except OSError as error:
            log.warning("the measured sizes are not saved: %s", error)
