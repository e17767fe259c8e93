"""The disk tier: repository entries between the store and memory, whole or not there at all.

An entry is a folder named for its tenant. It is put together under `.staging` and renamed into place, so a process
that dies leaves either the old entry, the new one or none. Its recency is the modification time of its manifest,
which survives restarts.
"""

import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tools.catalog.manifest import MANIFEST_NAME, BadManifestError, FileDigest, Manifest
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

log = logging.getLogger(__name__)

_STAGING = ".staging"


class DamagedEntryError(Exception):
    """An entry on disk is not what its manifest says. It has been removed."""


class DiskTier:
    """Entries under `root`, kept within `budget` bytes. Thread-safe; every call may block on the disk.

    Entries for which `is_needed` holds (they are in memory) stay, even when the budget is exceeded for it.
    """

    def __init__(self, root: Path, budget: int, is_needed: Callable[[TenantId], bool]) -> None:
        self.root = root
        self.budget = budget
        self._is_needed = is_needed
        self._staging = root / _STAGING
        # In the order of their last use, oldest first.
        self._entries: dict[TenantId, Manifest] = {}
        self._used = 0
        self._reserved = 0
        self._lock = threading.Lock()

    def open(self) -> list[str]:
        """Take stock of what an earlier run left. Returns the names of folders that were not entries, now removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._staging, ignore_errors=True)
        self._staging.mkdir()
        found, discarded = list[tuple[float, Manifest]](), list[str]()
        for folder in self.root.iterdir():
            if folder.is_dir() and folder != self._staging:
                if entry := _read_entry(folder):
                    found.append(entry)
                else:
                    discarded.append(folder.name)
                    _delete(self._bury(folder))
        for _, manifest in sorted(found, key=lambda entry: entry[0]):
            self._remember(manifest)
        return discarded

    @property
    def used_bytes(self) -> int:
        """Bytes of all entries."""
        return self._used

    def __len__(self) -> int:
        return len(self._entries)

    def tenants(self) -> tuple[TenantId, ...]:
        """Whose entries there are, the least recently used first."""
        with self._lock:
            return tuple(self._entries)

    def manifest(self, tenant: TenantId) -> Manifest | None:
        """The manifest of the tenant's entry, or None when the disk does not hold one."""
        return self._entries.get(tenant)

    def verify(self, manifest: Manifest) -> None:
        """Hash the tenant's entry and mark it as used now.

        Raises:
            DamagedEntryError: a file is missing, cut or changed; the entry has been removed.
        """
        if not self._is_sound(manifest):
            self.remove(manifest.tenant)
            raise DamagedEntryError(f"the entry of {manifest.tenant} on disk was not what its manifest says")
        with self._lock:
            if manifest.tenant in self._entries:
                os.utime(self.root / manifest.tenant / MANIFEST_NAME)
                self._remember(manifest)

    def check(self, tenant: TenantId) -> bool:
        """Hash an entry that nobody asked for, and remove it if it is damaged; returns whether it was sound.

        One that is in memory is left alone: it was hashed before it was loaded.
        """
        manifest = self._entries.get(tenant)
        if manifest is None or self._is_needed(tenant) or self._is_sound(manifest):
            return True
        with self._lock:
            # Another one may have taken its place meanwhile, or somebody may be about to load it, who hashes it.
            if self._entries.get(tenant) is not manifest or self._is_needed(tenant):
                return True
            grave = self._take_out(tenant)
        _delete(grave)
        return False

    @contextmanager
    def staging(self, tenant: TenantId) -> Iterator["Staging"]:
        """A place to put an entry together, removed on leaving; what was reserved for it is free again then."""
        staging = Staging(self, Path(tempfile.mkdtemp(prefix=f"{tenant}.", dir=self._staging)))
        try:
            yield staging
        finally:
            shutil.rmtree(staging.folder, ignore_errors=True)
            self._release(staging)

    def remove(self, tenant: TenantId) -> None:
        """Remove the tenant's entry, if there is one."""
        with self._lock:
            grave = self._take_out(tenant)
        _delete(grave)

    def _reserve(self, staging: "Staging", size: int) -> None:
        with self._lock:
            staging.reserved += size
            self._reserved += size
            graves = {tenant: self._take_out(tenant) for tenant in self._victims()}
        for tenant, grave in graves.items():
            log.info("%s is removed from disk to make room", tenant)
            _delete(grave)

    def _release(self, staging: "Staging") -> None:
        with self._lock:
            self._reserved -= staging.reserved
            staging.reserved = 0

    def _place(self, staging: "Staging", folder: Path, manifest: Manifest) -> None:
        folder.chmod(0o755)
        with self._lock:
            grave = self._take_out(manifest.tenant)
            folder.rename(self.root / manifest.tenant)
            self._remember(manifest)
            self._reserved -= staging.reserved
            staging.reserved = 0
        _delete(grave)

    # With the lock held

    def _victims(self) -> list[TenantId]:
        excess = self._used + self._reserved - self.budget
        victims = []
        for tenant, manifest in self._entries.items():
            if excess <= 0:
                break
            if not self._is_needed(tenant):
                victims.append(tenant)
                excess -= manifest.entry_bytes
        return victims

    def _remember(self, manifest: Manifest) -> None:
        self._forget(manifest.tenant)
        self._entries[manifest.tenant] = manifest
        self._used += manifest.entry_bytes

    def _forget(self, tenant: TenantId) -> None:
        if manifest := self._entries.pop(tenant, None):
            self._used -= manifest.entry_bytes

    def _take_out(self, tenant: TenantId) -> Path:
        self._forget(tenant)
        return self._bury(self.root / tenant)

    # Inside

    def _bury(self, folder: Path) -> Path:
        """Take a folder, if it is there, out of Triton's sight in one step. Returns what to delete at leisure."""
        grave = Path(tempfile.mkdtemp(prefix="gone.", dir=self._staging))
        with suppress(FileNotFoundError):
            folder.rename(grave / "entry")
        return grave

    def _is_sound(self, manifest: Manifest) -> bool:
        folder = self.root / manifest.tenant
        return _is_whole(folder, manifest) and all(_matches(folder / file.path, file) for file in manifest.files)


@dataclass(slots=True)
class Staging:
    """An empty folder on the same file system as the entries, and `reserved` bytes of their budget."""

    disk: DiskTier
    folder: Path
    reserved: int = 0

    def reserve(self, size: int) -> None:
        """Keep `size` more bytes free; the least recently used entries go for it."""
        self.disk._reserve(self, size)

    def place(self, folder: Path, manifest: Manifest) -> None:
        """Make `folder`, which is this one or in it, the tenant's entry, in place of any older one."""
        self.disk._place(self, folder, manifest)


def _delete(grave: Path) -> None:
    shutil.rmtree(grave, ignore_errors=True)


def _read_entry(folder: Path) -> tuple[float, Manifest] | None:
    """When the entry in `folder` was last used (seconds since the epoch), and its manifest.

    None if the manifest is not sound or the entry not whole; its hashes are checked later.
    """
    try:
        path = folder / MANIFEST_NAME
        manifest = Manifest.from_json(path.read_bytes())
        if manifest.tenant != tenant_id(folder.name) or not _is_whole(folder, manifest):
            return None
        return path.stat().st_mtime, manifest
    except (OSError, BadManifestError, BadTenantIdError):
        return None


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether the folder holds the manifest's files in their sizes and nothing else: Triton loads what it finds."""
    expected = {file.path: file.bytes for file in manifest.files}
    try:
        found = {
            path.relative_to(folder).as_posix(): path.lstat().st_size
            for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }
    except FileNotFoundError:
        return False
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
