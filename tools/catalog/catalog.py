"""The catalog: which versions of a tenant there are, and which one is live.

A store holds `<tenant>/<version>.tar.zst` for every version and `<tenant>/live.json` for the one served. Two rules
keep that true for any number of concurrent writers, on stores with no transactions and no locks:

- a pointer is written only after its bundle, and whoever writes a pointer or removes a bundle looks again
  afterwards, and puts right what a concurrent writer made wrong in between;
- a bundle is verified whole before a pointer names it.

When two writers disagree, the last one wins. A tenant may also have a drop-in archive, `<tenant>.tar.gz`: nodes compile
and serve it themselves, when nothing is live.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.catalog.bundle import (
    BUNDLE_SUFFIX,
    BadBundleError,
    HashingStream,
    unpack_bundle,
    verify_bundle,
)
from tools.catalog.live import BadPointerError, LivePointer, utc_now
from tools.catalog.store import (
    NOT_CHANGED,
    ByteStream,
    NotChanged,
    ObjectChangedError,
    ObjectStat,
    ObjectStream,
    Store,
)
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

_LIVE = "live.json"
_ROUNDS = 20
_HASH_BYTES = 1 << 20
_VERSION = re.compile(r"[1-9][0-9]{0,18}")


class CatalogError(Exception):
    """The catalog cannot do what it was asked. The message says what to do."""


class NoSuchTenantError(CatalogError):
    """The tenant has no live version."""


class NoSuchVersionError(CatalogError):
    """The tenant has no such version."""


class VersionTakenError(CatalogError):
    """The version exists already, with other bytes."""


class BundleGoneError(CatalogError):
    """The bundle was pruned, deleted or replaced after its pointer was read. Read the pointer again and retry."""


class ConflictError(CatalogError):
    """Other writers changed the tenant at the same time, and won."""


@dataclass(frozen=True, slots=True)
class Live:
    """A live pointer, and the etag to ask again with."""

    pointer: LivePointer
    etag: str


@dataclass(frozen=True, slots=True)
class Release:
    """What a publish did. `changed` is False if exactly this was live already."""

    pointer: LivePointer
    changed: bool


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version of a tenant as the store has it; `bundle_bytes` is the size of its bundle."""

    version: int
    bundle_bytes: int


class Catalog:
    """The tenants of one store. Safe to use from many threads.

    Every method may also raise the store's own errors (`StoreDownError`, `StoreDeniedError`).
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def live(self, tenant: TenantId, known_etag: str | None = None) -> Live | NotChanged:
        """The live pointer of a tenant, or `NOT_CHANGED` if it still has `known_etag`. One read.

        Raises:
            NoSuchTenantError: it has none.
            BadPointerError: it is damaged.
        """
        try:
            return self._read_live(tenant, known_etag)
        except BadPointerError:
            # Not every server replaces an object as S3 does: one that was just being replaced is sound the next time.
            return self._read_live(tenant, known_etag)

    def fetch(self, pointer: LivePointer, into: Path) -> None:
        """Download the bundle a pointer names and unpack it into the empty folder `into`, verifying as it comes.

        On failure, whatever was written is removed.

        Raises:
            BundleGoneError: it is not there any more. Read the pointer again.
            BadBundleError: the bytes are not what the pointer says.
            OSError: the disk failed.
        """
        gone = BundleGoneError(
            f"version {pointer.version} of {pointer.tenant} was removed or replaced: read the live pointer again"
        )
        found = self._store.open(_bundle_key(pointer.tenant, pointer.version))
        if found is None or found is NOT_CHANGED:
            raise gone
        with found:
            try:
                _unpack(found, pointer, into)
            except ObjectChangedError:
                raise gone from None
            except BadBundleError:
                if self._etag(pointer.tenant, pointer.version) != found.stat.etag:
                    raise gone from None
                raise

    def publish(self, bundle: Path) -> Release:
        """Verify a bundle file, upload it, and make it the live version of its tenant.

        Raises:
            BadBundleError: the file is not a whole, sound bundle. Nothing was uploaded.
            VersionTakenError: the store has this version with other bytes. Compile a new version.
            ConflictError: other writers kept changing the tenant.
            OSError: the file cannot be read.
        """
        with bundle.open("rb") as file:
            pointer = _pointer_to(file)
        if self._is_live(pointer):
            return Release(pointer, changed=False)
        for attempt in range(_ROUNDS):
            try:
                etag = self._upload(bundle, pointer)
            except VersionTakenError:
                if attempt:
                    # Our pointer is out already, and names bytes that another writer has replaced.
                    self._heal(pointer.tenant)
                raise
            self._point(pointer)
            if self._etag(pointer.tenant, pointer.version) == etag:
                return Release(pointer, changed=True)
        raise _conflict(pointer.tenant)

    def versions(self, tenant: TenantId) -> list[StoredVersion]:
        """Every version of a tenant, oldest first. Lists the tenant's own objects only."""
        found = [_stored_version(stat) for stat in self._store.list(tenant)]
        return sorted((stored for stored in found if stored is not None), key=lambda stored: stored.version)

    def rollback(self, tenant: TenantId, to: int | None = None) -> LivePointer:
        """Make another version live: `to`, or the newest one older than the live one.

        Raises:
            NoSuchTenantError, NoSuchVersionError: there is nothing to roll back, or to roll back to.
            BadBundleError: the stored bundle is damaged; the live version stays.
            ConflictError: the version was removed at the same time.
        """
        live = self._pointer(tenant)
        target = to if to is not None else self._version_before(tenant, live.version)
        try:
            pointer = self._pointer_to_stored(tenant, target)
        except ObjectChangedError:
            raise _removed(tenant, target) from None
        self._point(pointer)
        if self._etag(tenant, target) is None:
            self._heal(tenant)
            raise _removed(tenant, target)
        return pointer

    def prune(self, tenant: TenantId, keep: int) -> list[int]:
        """Delete all but the newest `keep` versions, never the live one. Returns the versions deleted.

        Raises:
            NoSuchTenantError: nothing is live, so nothing says what is still wanted.
            ConflictError: a deleted version was made live at the same time; the newest one left is live now.
        """
        if keep < 1:
            raise ValueError("keep at least one version")
        self._pointer(tenant)
        deleted = []
        for stored in self.versions(tenant)[:-keep]:
            # Read again for each, so that a rollback running meanwhile has next to no time to choose a victim.
            if stored.version != self._pointer(tenant).version:
                self._store.delete(_bundle_key(tenant, stored.version))
                deleted.append(stored.version)
        if deleted and (wanted := self._pointer(tenant).version) in deleted:
            self._heal(tenant)
            raise ConflictError(f"version {wanted} of {tenant} was made live while it was pruned: publish it again")
        return deleted

    def delete(self, tenant: TenantId) -> None:
        """Remove a tenant: its pointer, its bundles and its drop-in archive. A publish that starts meanwhile may win.

        Raises:
            NoSuchTenantError: there is nothing of it.
            ConflictError: it is published as fast as it is deleted.
        """
        keys = (_live_key(tenant), drop_in_key(tenant))
        if not any(self._store.stat(key) for key in keys) and not self.versions(tenant):
            raise NoSuchTenantError(f"there is no tenant {tenant!r}: nothing to delete")
        for _ in range(_ROUNDS):
            for key in keys:
                self._store.delete(key)
            for stored in self.versions(tenant):
                self._store.delete(_bundle_key(tenant, stored.version))
            # A publisher may have uploaded before we listed and pointed after we removed the pointer.
            if self._store.stat(_live_key(tenant)) is None:
                return
        raise ConflictError(f"{tenant} is published as fast as it is deleted: stop its publisher first")

    def has_drop_in(self, tenant: TenantId) -> bool:
        """Whether the store has a drop-in archive of the tenant."""
        return self._store.stat(drop_in_key(tenant)) is not None

    def tenants(self) -> Iterator[TenantId]:
        """Every tenant with anything in the store, in order. Lists the whole store: for people, not for requests."""
        for name in self._store.list_folders():
            with contextlib.suppress(BadTenantIdError):
                yield tenant_id(name)

    def _read_live(self, tenant: TenantId, known_etag: str | None) -> Live | NotChanged:
        found = self._store.read(_live_key(tenant), known_etag)
        if found is None:
            raise NoSuchTenantError(f"there is no tenant {tenant!r}: publish it first")
        if found is NOT_CHANGED:
            return NOT_CHANGED
        return Live(LivePointer.from_json(found.body, tenant), found.etag)

    def _pointer(self, tenant: TenantId) -> LivePointer:
        live = self.live(tenant)
        assert live is not NOT_CHANGED
        return live.pointer

    def _is_live(self, pointer: LivePointer) -> bool:
        try:
            live = self._pointer(pointer.tenant)
        except (NoSuchTenantError, BadPointerError):
            return False
        if (live.manifest, live.bundle_sha256) != (pointer.manifest, pointer.bundle_sha256):
            return False
        stored = self._store.stat(_bundle_key(pointer.tenant, pointer.version))
        return stored is not None and stored.bytes == pointer.bundle_bytes

    def _upload(self, bundle: Path, pointer: LivePointer) -> str:
        """Make sure the store has the bundle. Returns the etag of the object that has exactly its bytes."""
        for _ in range(_ROUNDS):
            etag = self._store.put(_bundle_key(pointer.tenant, pointer.version), bundle, if_absent=True)
            if etag is not None:
                return etag
            with contextlib.suppress(NoSuchVersionError, ObjectChangedError):
                sha256, etag = self._digest(pointer.tenant, pointer.version)
                if sha256 == pointer.bundle_sha256:
                    return etag
                raise VersionTakenError(
                    f"{pointer.tenant} has a version {pointer.version} with other bytes: compile the model again, "
                    "which gives it a new version"
                )
        raise _conflict(pointer.tenant)

    def _digest(self, tenant: TenantId, version: int) -> tuple[str, str]:
        """SHA-256 and etag of a stored bundle."""
        with self._open(tenant, version) as stored:
            stream = HashingStream(stored)
            while stream.read(_HASH_BYTES):
                pass
            return stream.sha256, stored.stat.etag

    def _pointer_to_stored(self, tenant: TenantId, version: int) -> LivePointer:
        with self._open(tenant, version) as stored:
            pointer = _pointer_to(stored)
        if (pointer.tenant, pointer.version) != (tenant, version):
            raise BadBundleError(f"the bundle of {tenant}, version {version}, holds another tenant or version")
        return pointer

    def _open(self, tenant: TenantId, version: int) -> ObjectStream:
        found = self._store.open(_bundle_key(tenant, version))
        if found is None or found is NOT_CHANGED:
            there = ", ".join(str(stored.version) for stored in self.versions(tenant)) or "none"
            raise NoSuchVersionError(f"{tenant} has no version {version}. There are: {there}")
        return found

    def _version_before(self, tenant: TenantId, live: int) -> int:
        older = [stored.version for stored in self.versions(tenant) if stored.version < live]
        if not older:
            raise NoSuchVersionError(f"{tenant} has no version older than the live one, {live}")
        return older[-1]

    def _etag(self, tenant: TenantId, version: int) -> str | None:
        stat = self._store.stat(_bundle_key(tenant, version))
        return stat.etag if stat is not None else None

    def _point(self, pointer: LivePointer) -> None:
        self._store.put(_live_key(pointer.tenant), pointer.to_json().encode())

    def _heal(self, tenant: TenantId) -> LivePointer | None:
        """Make the pointer agree with what is stored: its own version if it is there, else the newest, else none.

        Done when a pointer that was read after everything else names a bundle that is there with its bytes.
        """
        for _ in range(_ROUNDS):
            with contextlib.suppress(NoSuchVersionError, ObjectChangedError):
                versions = [stored.version for stored in self.versions(tenant)]
                try:
                    live = self._pointer(tenant)
                except NoSuchTenantError:
                    return None
                if live.version in versions and self._digest(tenant, live.version)[0] == live.bundle_sha256:
                    return live
                if versions:
                    self._point(self._pointer_to_stored(tenant, max(versions)))
                else:
                    self._store.delete(_live_key(tenant))
        raise _conflict(tenant)


def drop_in_key(tenant: TenantId) -> str:
    """Where a tenant's drop-in archive is, if it has one: a model that a node compiles itself on first use."""
    return f"{tenant}.tar.gz"


def _unpack(stored: ObjectStream, pointer: LivePointer, into: Path) -> None:
    if stored.stat.bytes != pointer.bundle_bytes:
        raise BadBundleError(f"the bundle has {stored.stat.bytes} bytes, not {pointer.bundle_bytes} as published")
    unpack_bundle(HashingStream(stored, pointer.bundle_sha256), into, pointer.manifest)


def _live_key(tenant: TenantId) -> str:
    return f"{tenant}/{_LIVE}"


def _bundle_key(tenant: TenantId, version: int) -> str:
    return f"{tenant}/{version}{BUNDLE_SUFFIX}"


def _stored_version(stat: ObjectStat) -> StoredVersion | None:
    name = stat.key.rpartition("/")[2]
    version = name.removesuffix(BUNDLE_SUFFIX)
    if version == name or _VERSION.fullmatch(version) is None:
        return None
    return StoredVersion(int(version), stat.bytes)


def _pointer_to(bundle: ByteStream) -> LivePointer:
    stream = HashingStream(bundle)
    manifest = verify_bundle(stream)
    return LivePointer(manifest, stream.sha256, stream.bytes, utc_now())


def _removed(tenant: TenantId, version: int) -> ConflictError:
    return ConflictError(f"version {version} of {tenant} was removed meanwhile: see what orchard list shows")


def _conflict(tenant: TenantId) -> ConflictError:
    return ConflictError(f"other writers keep changing {tenant}: stop them, and try again")
