"""The disk tier: repository entries between the store and memory, whole or not there at all.

An entry is a folder named for its tenant. It is put together under `.staging` and renamed into place, so a process
that dies leaves either the old entry, the new one or none. Its recency is the modification time of its manifest,
which survives restarts.
"""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.catalog.manifest import MANIFEST_NAME, BadManifestError, FileDigest, Manifest
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

_STAGING = ".staging"


class DamagedEntryError(Exception):
    """An entry on disk is not what its manifest says. It has been removed."""


@dataclass(frozen=True, slots=True)
class DiskEntry:
    """One entry on disk; `last_used` in seconds since the epoch."""

    manifest: Manifest
    last_used: float


class DiskTier:
    """Entries under `root`, kept within `budget` bytes. Thread-safe; every call may block on the disk."""

    def __init__(self, root: Path, budget: int) -> None:
        self.root = root
        self.budget = budget
        self._staging = root / _STAGING
        self._entries: dict[TenantId, DiskEntry] = {}
        self._lock = threading.Lock()

    def open(self) -> list[str]:
        """Take stock of what an earlier run left. Returns the names of folders that were not entries, now removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir()
        discarded = []
        for folder in self.root.iterdir():
            if folder.is_dir() and folder != self._staging:
                entry = _read_entry(folder)
                if entry is None:
                    discarded.append(folder.name)
                    self._discard(folder)
                else:
                    self._entries[entry.manifest.tenant] = entry
        return discarded

    @property
    def used_bytes(self) -> int:
        """Bytes of all entries."""
        with self._lock:
            return sum(entry.manifest.entry_bytes for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def manifest(self, tenant: TenantId) -> Manifest | None:
        """The manifest of the tenant's entry, or None when the disk does not hold one."""
        entry = self._entries.get(tenant)
        return entry.manifest if entry else None

    def verify(self, manifest: Manifest) -> None:
        """Hash the tenant's entry and mark it as used now.

        Raises:
            DamagedEntryError: a file is missing, cut or changed; the entry has been removed.
        """
        folder = self.root / manifest.tenant
        if not _is_whole(folder, manifest) or not all(_matches(folder / file.path, file) for file in manifest.files):
            self.remove(manifest.tenant)
            raise DamagedEntryError(f"the entry of {manifest.tenant} on disk was not what its manifest says")
        os.utime(folder / MANIFEST_NAME)
        with self._lock:
            self._entries[manifest.tenant] = DiskEntry(manifest, (folder / MANIFEST_NAME).stat().st_mtime)

    @contextmanager
    def staging(self, tenant: TenantId) -> Iterator[Path]:
        """An empty folder on the same file system, removed on leaving unless `place` has taken it."""
        folder = Path(tempfile.mkdtemp(prefix=f"{tenant}.", dir=self._staging))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def place(self, staged: Path, manifest: Manifest) -> None:
        """Make `staged` the tenant's entry, in place of any older one."""
        target = self.root / manifest.tenant
        staged.chmod(0o755)
        self._discard(target)
        staged.rename(target)
        with self._lock:
            self._entries[manifest.tenant] = DiskEntry(manifest, (target / MANIFEST_NAME).stat().st_mtime)

    def remove(self, tenant: TenantId) -> None:
        """Remove the tenant's entry, if there is one."""
        with self._lock:
            self._entries.pop(tenant, None)
        self._discard(self.root / tenant)

    def make_room(self, size: int, is_needed: Callable[[TenantId], bool]) -> list[TenantId]:
        """Remove the least recently used entries until `size` more bytes fit the budget; returns the removed.

        Entries for which `is_needed` holds (they are in memory) stay, even when the budget is exceeded for it.
        """
        excess = self.used_bytes + size - self.budget
        removed = []
        for entry in sorted(self._entries.values(), key=lambda entry: entry.last_used):
            if excess <= 0:
                break
            if not is_needed(entry.manifest.tenant):
                self.remove(entry.manifest.tenant)
                removed.append(entry.manifest.tenant)
                excess -= entry.manifest.entry_bytes
        return removed

    def _discard(self, folder: Path) -> None:
        """Take a folder out of Triton's sight in one step, then delete it at leisure."""
        grave = Path(tempfile.mkdtemp(prefix="gone.", dir=self._staging))
        try:
            folder.rename(grave / "entry")
        except FileNotFoundError:
            pass
        finally:
            shutil.rmtree(grave, ignore_errors=True)


def _read_entry(folder: Path) -> DiskEntry | None:
    """The entry in `folder` if its manifest is sound and it is whole; hashes are checked before a load."""
    try:
        path = folder / MANIFEST_NAME
        manifest = Manifest.from_json(path.read_bytes())
        if manifest.tenant != tenant_id(folder.name) or not _is_whole(folder, manifest):
            return None
        return DiskEntry(manifest, path.stat().st_mtime)
    except (OSError, BadManifestError, BadTenantIdError):
        return None


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether the folder holds the manifest's files in their sizes and nothing else: Triton loads what it finds."""
    expected = {file.path: file.bytes for file in manifest.files}
    found = {
        path.relative_to(folder).as_posix(): path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    found.pop(MANIFEST_NAME, None)
    return found == expected and not any((folder / path).is_symlink() for path in expected)


def _matches(path: Path, expected: FileDigest) -> bool:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != expected.bytes:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256
    except OSError:
        return False
