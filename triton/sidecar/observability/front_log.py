"""The front's record of calls, read in batches: how warm calls, which never pass the sidecar, come to be counted.

nginx appends a line for each inference call to a file, through a buffer that it empties once a second. Most lines of
a batch are equal to another one, because they give times in whole milliseconds, so they are counted before they are
read: a batch of ten thousand costs a few milliseconds.
"""

import asyncio
import logging
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from sidecar.observability.traffic import Start, Traffic
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

_PIECE = 4 * 2**20
_LONGEST = 16 * 2**20  # bytes the file may have before it is begun anew
_STARTS = {"": Start.WARM, "-": Start.WARM, "disk": Start.DISK, "fetch": Start.FETCH}


class FrontLog:
    """Follows the file at `path`; lines are `status seconds start tenant`."""

    def __init__(self, path: Path, traffic: Traffic) -> None:
        self._path = path
        self._traffic = traffic
        self._file: BinaryIO | None = None
        self._rest = b""

    def open(self) -> None:
        """Begin with an empty file. It must be there before nginx is, or root's nginx would own it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("w+b")

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def read(self) -> None:
        """Count the calls since the last reading."""
        assert self._file is not None
        while piece := self._file.read(_PIECE):
            lines = (self._rest + piece).split(b"\n")
            self._rest = lines.pop()
            for line, times in Counter(lines).items():
                self._take(line, times)
        if self._file.tell() > _LONGEST:
            # nginx appends, so its next line is the first. One written in this very moment would be lost.
            self._file.truncate(0)
            self._file.seek(0)

    async def run(self, interval: float) -> None:
        """Read every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            try:
                self.read()
            except OSError as error:
                log.warning("the front's calls are not counted: %s", error)

    def _take(self, line: bytes, times: int) -> None:
        try:
            status, seconds, start, tenant = line.decode("ascii").split(" ")
            self._traffic.add(TenantId(tenant), status, _STARTS[start], float(seconds), times)
        except (ValueError, KeyError):
            log.warning("not a line of the front: %r", line[:200])
