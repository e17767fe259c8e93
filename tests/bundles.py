"""Entries and bundles with made-up checkpoints: enough for everything that never loads one."""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import zstandard

from tools.catalog.bundle import BUNDLE_SUFFIX, write_bundle
from tools.catalog.manifest import FileDigest, Manifest, Parity
from tools.catalog.tenant import tenant_id

Member = tuple[str, bytes]


def padded(members: Iterable[Member], kinds: Mapping[int, bytes] | None = None) -> Iterator[bytes]:
    """Each member as a tar holds it; `kinds` says which, by their place, are no plain files but links or the like."""
    for place, (name, body) in enumerate(members):
        info = tarfile.TarInfo(name)
        info.size = len(body)
        info.type = (kinds or {}).get(place, tarfile.REGTYPE)
        info.linkname = "" if info.isreg() else "/etc/passwd"
        yield info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % tarfile.BLOCKSIZE)


def pack(members: Iterable[Member], kinds: Mapping[int, bytes] | None = None, end: bytes = bytes(1024)) -> bytes:
    """A bundle of any members, which reads well when they are the right ones."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(b"".join(padded(members, kinds)) + end)


def make_manifest(tenant: str, version: int, config: bytes, checkpoint: bytes) -> Manifest:
    """A manifest that is right about the two files."""
    return Manifest(
        tenant=tenant_id(tenant),
        version=version,
        files=(_digest("config.pbtxt", config), _digest(f"{version}/checkpoint.tl", checkpoint)),
        features=4,
        outputs=2,
        objective="binary:logistic",
        trees=10,
        resident_bytes=(1 << 20) + len(checkpoint),
        triton_release="24.10",
        xgboost_version="3.2.0",
        treelite_version="4.8.1",
        parity=Parity(rows=100, max_error=0.0, tolerance=1e-5, measure="absolute"),
        source_sha256=hashlib.sha256(checkpoint).hexdigest(),
    )


def make_entry(folder: Path, tenant: str, version: int = 1, checkpoint: bytes = b"trees") -> Manifest:
    """Write an entry into `folder`, the tenant's own, and return its manifest."""
    config = f'name: "{tenant}"\nbackend: "fil"\n'.encode()
    (folder / str(version)).mkdir(parents=True)
    (folder / "config.pbtxt").write_bytes(config)
    (folder / str(version) / "checkpoint.tl").write_bytes(checkpoint)
    return make_manifest(tenant, version, config, checkpoint)


def make_bundle(folder: Path, tenant: str, version: int = 1, checkpoint: bytes = b"trees") -> Path:
    """Write a bundle to `<folder>/<tenant>/<version>.tar.zst` and return its path."""
    manifest = make_entry(folder / ".entries" / f"{tenant}-{version}", tenant, version, checkpoint)
    bundle = folder / tenant / f"{version}{BUNDLE_SUFFIX}"
    write_bundle(folder / ".entries" / f"{tenant}-{version}", manifest, bundle)
    return bundle


def _digest(path: str, body: bytes) -> FileDigest:
    return FileDigest(path, hashlib.sha256(body).hexdigest(), len(body))
