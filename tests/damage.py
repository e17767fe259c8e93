"""A sound bundle and its live pointer, and every way in which they can be wrong in a store."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import zstandard

from tests.bundles import Member, pack, padded
from tools.catalog.live import BadPointerError, LivePointer
from tools.catalog.manifest import FileDigest, Manifest
from tools.catalog.tenant import tenant_id

_BLOCK = tarfile.BLOCKSIZE
_PUBLISHED = "2026-01-01T00:00:00.000+00:00"
_DIGEST = "0123456789abcdef" * 4


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store holds of a tenant: the body of its live pointer, and the bundle under the pointer's key."""

    pointer: bytes
    bundle: bytes | None


@dataclass(frozen=True, slots=True)
class Sound:
    """A tenant as it is published: its manifest, its two files, and what the store has of it."""

    manifest: Manifest
    config: bytes
    checkpoint: bytes

    @property
    def members(self) -> list[Member]:
        """What the bundle's tar holds, in order."""
        return [
            ("manifest.json", self.manifest.to_json().encode()),
            ("config.pbtxt", self.config),
            (f"{self.manifest.version}/checkpoint.tl", self.checkpoint),
        ]

    @property
    def bundle(self) -> bytes:
        """The bytes of the bundle."""
        return pack(self.members)

    def stored(self) -> Stored:
        """What publishing it writes."""
        return Stored(self.pointer_to(self.bundle), self.bundle)

    def pointer_to(self, bundle: bytes, manifest: Mapping[str, Any] | None = None) -> bytes:
        """A pointer that names exactly these bytes, with the tenant's manifest or one that lies."""
        sha256 = hashlib.sha256(bundle).hexdigest()
        pointer = json.loads(LivePointer(self.manifest, sha256, len(bundle), _PUBLISHED).to_json())
        return json.dumps(pointer if manifest is None else {**pointer, "manifest": manifest}, indent=1).encode()


def sealed(like: Manifest, config: bytes, checkpoint: bytes, tenant: str, version: int) -> Sound:
    """The same model as another tenant or version. `like` gives what does not depend on the files."""
    config = config.replace(f'"{like.tenant}"'.encode(), f'"{tenant}"'.encode())
    files = (_digest("config.pbtxt", config), _digest(f"{version}/checkpoint.tl", checkpoint))
    return Sound(replace(like, tenant=tenant_id(tenant), version=version, files=files), config, checkpoint)


Damage = Callable[[Sound, Random], Stored]


# The bundle is damaged, and the pointer is as it was published.


def _behind_the_pointer(damage: Callable[[bytes, Random], bytes | None]) -> Damage:
    return lambda sound, random: Stored(sound.stored().pointer, damage(sound.bundle, random))


# The pointer names the damaged bytes, their hash and their number: only what is inside can give them away.


def _named_as_it_is(damage: Callable[[Sound, Random], bytes]) -> Damage:
    def damaged(sound: Sound, random: Random) -> Stored:
        bundle = damage(sound, random)
        return Stored(sound.pointer_to(bundle), bundle)

    return damaged


def _flip(body: bytes, random: Random) -> bytes:
    flipped = bytearray(body)
    flipped[random.randrange(len(body))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _cut(body: bytes, random: Random) -> bytes:
    return body[: random.randrange(len(body))]


def _flipped_frame(sound: Sound, random: Random) -> bytes:
    while _plain(flipped := _flip(sound.bundle, random)) == _plain(sound.bundle):
        pass  # a few bits of a zstd frame mean nothing
    return flipped


def _flipped_plain(sound: Sound, random: Random) -> bytes:
    plain = b"".join(padded(sound.members)) + bytes(2 * _BLOCK)
    end = _BLOCK + len(sound.members[0][1])
    while True:
        flipped = _flip(plain, random)
        if flipped[:_BLOCK] != plain[:_BLOCK] or flipped[end:] != plain[end:]:
            return _compressed(flipped)
        if not _reads_as(flipped[_BLOCK:end], sound.manifest):
            return _compressed(flipped)


def edges(members: list[Member]) -> Iterator[int]:
    """Where in the plain bytes a header, a body, a padding or the end of the archive begins, and the very end."""
    at = 0
    for name, body in members:
        yield at
        yield at + _BLOCK
        yield at + _BLOCK + len(body)
        at += len(b"".join(padded([(name, body)])))
    yield from (at, at + _BLOCK, at + 2 * _BLOCK)


def _cut_at_an_edge(sound: Sound, random: Random) -> bytes:
    plain = b"".join(padded(sound.members)) + bytes(2 * _BLOCK)
    near = {edge + step for edge in edges(sound.members) for step in (-1, 0, 1)}
    return _compressed(plain[: random.choice([cut for cut in sorted(near) if 0 <= cut < len(plain)])])


def _repacked(change: Callable[[list[Member], Random], Any]) -> Damage:
    """`change` gives other members, or changes the list it is given."""

    def repack(sound: Sound, random: Random) -> bytes:
        members = sound.members
        return pack(change(members, random) or members)

    return _named_as_it_is(repack)


def _shuffled(members: list[Member], random: Random) -> None:
    before = list(members)
    while members == before:
        random.shuffle(members)


def _exchanged(members: list[Member], _: Random) -> list[Member]:
    first, (config, config_body), (checkpoint, checkpoint_body) = members
    return [first, (config, checkpoint_body), (checkpoint, config_body)]


def _other_kind(sound: Sound, random: Random) -> bytes:
    kind = random.choice([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
    return pack(sound.members, kinds={random.randrange(3): kind})


_WRONG_NAMES = (
    "../checkpoint.tl",
    "/tmp/checkpoint.tl",
    "0/checkpoint.tl",
    "a/../../config.pbtxt",
    "live.json",
    ".",
    "",
)


def _renamed(members: list[Member], random: Random) -> None:
    place = random.randrange(3)
    members[place] = (random.choice(_WRONG_NAMES), members[place][1])


def _changed_member(members: list[Member], random: Random) -> None:
    place = random.choice([1, 2])
    name, body = members[place]
    members[place] = (name, random.choice([_flip(body, random), body + b"\0", body[:-1], b"", bytes(len(body))]))


def _written_by_tar(sound: Sound, _: Random) -> bytes:
    """As tar(1) would pack it: with times, owners and long headers."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, body in sound.members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uname = len(body), 1_700_000_000, "root"
            tar.addfile(info, io.BytesIO(body))
    return _compressed(file.getvalue())


def _greedy_frame(sound: Sound, _: Random) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return frame.compress(b"".join(padded(sound.members)) + bytes(2 * _BLOCK)) + frame.flush()


def _of_another_tenant(sound: Sound, _: Random) -> bytes:
    return _like(sound, "somebody-else", sound.manifest.version).bundle


def _of_another_version(sound: Sound, _: Random) -> bytes:
    return _like(sound, sound.manifest.tenant, sound.manifest.version + 1).bundle


# The manifest lies: the one in the bundle, the one in the pointer, or both alike.


def _lie(manifest: dict[str, Any], random: Random) -> dict[str, Any]:
    """One field of a manifest changed into what cannot be true of this bundle."""
    lies: list[Callable[[], Any]] = [
        lambda: manifest.pop(random.choice([name for name in manifest if name != "notes"])),
        lambda: manifest.update(tenant=random.choice(["somebody-else", "", "../up", "UP", 5, None])),
        lambda: manifest.update(version=random.choice([manifest["version"] + 1, 0, -1, 2**63, "1", 1.5, True, None])),
        lambda: manifest.update({random.choice(["features", "outputs"]): random.choice([0, -6, 2**63, "6", 6.5, []])}),
        lambda: manifest.update(resident_bytes=random.choice([0, -1, 1, 2**62, 10**4000, "1", None])),
        lambda: manifest["parity"].update(max_error=random.choice([1.0, float("nan"), float("inf"), "0", None])),
        lambda: manifest.update(files=random.choice([[], None, {}, manifest["files"] * 2, manifest["files"][:1]])),
        lambda: manifest["files"].append({"path": "../up", "sha256": _DIGEST, "bytes": 1}),
        lambda: random.choice(manifest["files"]).update(path=random.choice(["../up", "/etc/passwd", "model.py", 1])),
        lambda: random.choice(manifest["files"]).update(sha256=random.choice([_DIGEST, _DIGEST[:-1], "", "Z" * 64, 1])),
        lambda: random.choice(manifest["files"]).update(bytes=random.choice([0, -1, 2, 2**40, 2**62, 2**64, 1.0])),
    ]
    random.choice(lies)()
    return manifest


def _manifest_of(sound: Sound) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(sound.manifest.to_json())
    return raw


def _with_manifest(sound: Sound, manifest: dict[str, Any]) -> bytes:
    return pack([("manifest.json", json.dumps(manifest).encode()), *sound.members[1:]])


def _lies_inside(sound: Sound, random: Random) -> bytes:
    return _with_manifest(sound, _lie(_manifest_of(sound), random))


def _lies_in_the_pointer(sound: Sound, random: Random) -> Stored:
    return Stored(sound.pointer_to(sound.bundle, _lie(_manifest_of(sound), random)), sound.bundle)


def _lies_alike(sound: Sound, random: Random) -> Stored:
    lying = _lie(_manifest_of(sound), random)
    bundle = _with_manifest(sound, lying)
    return Stored(sound.pointer_to(bundle, lying), bundle)


# The pointer itself.


def _flipped_pointer(sound: Sound, random: Random) -> Stored:
    stored = sound.stored()
    while _means_the_same(flipped := _flip(stored.pointer, random), sound):
        pass
    return Stored(flipped, stored.bundle)


_NO_POINTERS = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"manifest": NaN}',
    b"9" * 5000,
    b" " * 2_000_000,
)


def _field(sound: Sound, random: Random) -> Stored:
    stored = sound.stored()
    pointer = json.loads(stored.pointer)
    field, wrong = random.choice(
        [
            ("bundle_sha256", random.choice([_DIGEST, "", None, 5, "Z" * 64])),
            ("bundle_bytes", random.choice([0, -1, len(sound.bundle) + 1, 2**62, 2**63, "1", True, 10**4000])),
            ("published_at", random.choice(["", "yesterday", 5, None, "2026-01-01T00:00:00"])),
            ("manifest", random.choice([None, [], "{}", 5])),
        ]
    )
    return Stored(json.dumps({**pointer, field: wrong}).encode(), stored.bundle)


DAMAGES: dict[str, Damage] = {
    "a flipped bit": _behind_the_pointer(_flip),
    "cut short": _behind_the_pointer(_cut),
    "empty": _behind_the_pointer(lambda *_: b""),
    "missing": _behind_the_pointer(lambda *_: None),
    "junk": _behind_the_pointer(lambda body, random: random.randbytes(len(body))),
    "twice": _behind_the_pointer(lambda body, _: body + body),
    "goes on": _behind_the_pointer(lambda body, random: body + random.randbytes(1 + random.randrange(1000))),
    "a flipped bit in the frame, hashed again": _named_as_it_is(_flipped_frame),
    "a flipped bit in the tar, hashed again": _named_as_it_is(_flipped_plain),
    "cut short, hashed again": _named_as_it_is(lambda sound, random: _cut(sound.bundle, random) or b"\0"),
    "cut at an edge, hashed again": _named_as_it_is(_cut_at_an_edge),
    "twice, hashed again": _named_as_it_is(lambda sound, _: sound.bundle * 2),
    "junk, hashed again": _named_as_it_is(lambda sound, random: random.randbytes(len(sound.bundle))),
    "not compressed": _named_as_it_is(lambda sound, _: b"".join(padded(sound.members)) + bytes(2 * _BLOCK)),
    "members in another order": _repacked(_shuffled),
    "members exchanged": _repacked(_exchanged),
    "a member missing": _repacked(lambda members, random: members.pop(random.randrange(3)) and None),
    "a member twice": _repacked(lambda members, random: members.insert(random.randrange(4), random.choice(members))),
    "a member more": _repacked(lambda members, random: members.insert(random.randrange(4), ("model.py", b"import os"))),
    "a member renamed": _repacked(_renamed),
    "a member changed": _repacked(_changed_member),
    "a link or a device": _named_as_it_is(_other_kind),
    "something after the end": _named_as_it_is(lambda sound, _: pack(sound.members, end=bytes(1023) + b"x")),
    "no end": _named_as_it_is(lambda sound, _: pack(sound.members, end=b"")),
    "a bomb at the end": _named_as_it_is(lambda sound, _: pack(sound.members, end=bytes(16 << 20))),
    "written by tar": _named_as_it_is(_written_by_tar),
    "a frame with a huge window": _named_as_it_is(_greedy_frame),
    "another tenant's bundle": _named_as_it_is(_of_another_tenant),
    "another version's bundle": _named_as_it_is(_of_another_version),
    "a manifest that lies, inside": _named_as_it_is(_lies_inside),
    "a manifest that lies, in the pointer": _lies_in_the_pointer,
    "a manifest that lies, in both": _lies_alike,
    "a flipped bit in the pointer": _flipped_pointer,
    "a pointer cut short": lambda sound, random: Stored(_cut(sound.stored().pointer[:-1], random), sound.bundle),
    "no pointer at all": lambda sound, random: Stored(random.choice(_NO_POINTERS), sound.bundle),
    "another tenant's pointer": lambda sound, _: Stored(
        _like(sound, "somebody-else", 1).stored().pointer, sound.bundle
    ),
    "another version's pointer": lambda sound, _: Stored(
        _like(sound, sound.manifest.tenant, 9).stored().pointer, sound.bundle
    ),
    "a wrong field in the pointer": _field,
}


def _like(sound: Sound, tenant: str, version: int) -> Sound:
    return sealed(sound.manifest, sound.config, sound.checkpoint, tenant, version)


def _digest(path: str, body: bytes) -> FileDigest:
    return FileDigest(path, hashlib.sha256(body).hexdigest(), len(body))


def _compressed(plain: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(plain)


def _plain(bundle: bytes) -> bytes | None:
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(bundle)
    except zstandard.ZstdError:
        return None


def _reads_as(text: bytes, manifest: Manifest) -> bool:
    try:
        return Manifest.from_json(text) == manifest
    except ValueError:
        return False


def _means_the_same(text: bytes, sound: Sound) -> bool:
    """Whether a pointer serves the same bytes, whenever it says that it was published."""
    try:
        pointer = LivePointer.from_json(text, sound.manifest.tenant)
    except BadPointerError:
        return False
    return replace(pointer, published_at=_PUBLISHED) == LivePointer.from_json(sound.stored().pointer, pointer.tenant)
