"""Drop-in archives: `<tenant>.tar.gz` with an XGBoost model inside, compiled on first use.

Nobody has verified these files, so they are only ever opened in a child process, which holds itself to limits of
memory and time. What it makes is an entry like any other. Its version number is derived from the object's etag: an
entry on disk is current exactly when its version is the one the object has now.
"""

import asyncio
import hashlib
import json
import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from sidecar.disk import DiskTier
from sidecar.errors import BusyError, LoadFailedError, StoreUnavailableError
from tools.catalog.catalog import drop_in_key
from tools.catalog.manifest import BadManifestError, Manifest
from tools.catalog.store import NOT_CHANGED, ObjectStat, Store
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

_REFUSED = 3  # the child's exit status for a model that will never be served as it is
_REFUSALS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class DropInLimits:
    """What one archive may cost: its size, the child's memory (bytes) and time (seconds), and children at once."""

    archive_bytes: int = 512 * 2**20
    memory_bytes: int = 2 * 2**30
    seconds: int = 60
    at_once: int = 2


class DropIns:
    """Finds and compiles drop-in archives. `stat` and `_download` block; call them off the event loop."""

    def __init__(self, store: Store, disk: DiskTier, limits: DropInLimits | None = None) -> None:
        self._store = store
        self._disk = disk
        self._limits = limits or DropInLimits()
        self._turns = asyncio.Semaphore(self._limits.at_once)
        self._refused: dict[str, str] = {}

    def stat(self, tenant: TenantId) -> ObjectStat | None:
        """The tenant's archive, or None. Raises the store's errors."""
        return self._store.stat(drop_in_key(tenant))

    async def compile(self, tenant: TenantId, stat: ObjectStat) -> Manifest:
        """Compile the archive into the tenant's entry on disk. An archive refused once is not tried again.

        Raises:
            LoadFailedError: the archive cannot be served, and why.
            BusyError, StoreUnavailableError: it may work later.
        """
        if reason := self._refused.get(stat.key + stat.etag):
            raise LoadFailedError(reason)
        if stat.bytes > self._limits.archive_bytes:
            raise LoadFailedError(
                f"{stat.key} has {stat.bytes:,} bytes; at most {self._limits.archive_bytes:,} are accepted"
            )
        async with self._turns:
            with self._disk.staging(tenant) as staging:
                archive, out = staging.folder / "archive.tar.gz", staging.folder / "out"
                await asyncio.to_thread(staging.reserve, stat.bytes)
                await asyncio.to_thread(self._download, stat, archive)
                manifest = await self._run_child(tenant, stat, archive, out)
                await asyncio.to_thread(staging.reserve, manifest.entry_bytes)
                await asyncio.to_thread(staging.place, out / tenant, manifest)
        log.info("%s was compiled from %s: %s", tenant, stat.key, "; ".join(manifest.notes) or "nothing to note")
        return manifest

    def _download(self, stat: ObjectStat, target: Path) -> None:
        found = self._store.open(stat.key)
        if found is None or found is NOT_CHANGED:
            raise StoreUnavailableError(f"{stat.key} has just gone; try again shortly")
        with found, target.open("xb") as file:
            if found.stat.etag != stat.etag:
                raise StoreUnavailableError(f"{stat.key} has just been replaced; try again shortly")
            while piece := found.read(2**20):
                file.write(piece)

    async def _run_child(self, tenant: TenantId, stat: ObjectStat, archive: Path, out: Path) -> Manifest:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tools.compile.dropin", str(archive), "--tenant", tenant),
            *("--version", str(version_of(stat)), "--out", str(out)),
            *("--memory-bytes", str(self._limits.memory_bytes), "--seconds", str(self._limits.seconds)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            # The child's own limit is of CPU time; this one also ends a child that sleeps.
            output, _ = await asyncio.wait_for(child.communicate(), 2 * self._limits.seconds)
        except TimeoutError:
            raise LoadFailedError(self._refuse(stat, "it takes too long to compile")) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return self._result(tenant, stat, child.returncode or 0, output)

    def _result(self, tenant: TenantId, stat: ObjectStat, status: int, output: bytes) -> Manifest:
        if status == -signal.SIGXCPU:
            raise LoadFailedError(self._refuse(stat, "it takes too long to compile"))
        if status == -signal.SIGKILL:
            raise BusyError(f"the compiler of {stat.key} was killed, probably for want of memory; try again shortly")
        if status < 0:
            raise LoadFailedError(self._refuse(stat, f"its reader crashed (signal {-status}): it is damaged"))
        try:
            answer = json.loads(output)
            if status == _REFUSED:
                raise LoadFailedError(self._refuse(stat, str(answer["refused"])))
            if status != 0:
                raise BusyError(f"{stat.key} could not be compiled: {answer.get('broken', 'no reason given')}")
            manifest = Manifest.from_dict(answer["manifest"])
        except (ValueError, KeyError, AttributeError, BadManifestError) as error:
            raise BusyError(f"{stat.key} could not be compiled: the compiler said nothing sensible ({error})") from None
        if (manifest.tenant, manifest.version) != (tenant, version_of(stat)):
            raise BusyError(f"{stat.key} could not be compiled: the compiler answered for another model")
        return manifest

    def _refuse(self, stat: ObjectStat, reason: str) -> str:
        while len(self._refused) >= _REFUSALS_KEPT:
            self._refused.pop(next(iter(self._refused)))
        message = f"{stat.key} cannot be served: {reason}. Replace it"
        self._refused[stat.key + stat.etag] = message
        return message


def version_of(stat: ObjectStat) -> int:
    """The version number of what an archive compiles to: 60 bits of the hash of its etag."""
    return int(hashlib.sha256(stat.etag.encode()).hexdigest()[:15], 16) or 1
