"""The file of API keys: one line for each, with the key's SHA-256 in place of the key.

    # sha256 of the key, name, tenants
    5e88...42d8 checkout m37,m38
    9f86...0a08 operations *

A key is 256 random bits, so its plain SHA-256 gives nothing away. It has no character that ends the access key id in
the Authorization header of an AWS client: that is where an unmodified boto3 client carries it.
"""

import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.access.errors import AccessError
from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

ALL = "*"
_PREFIX = "orchard_"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEADING = "# sha256 of the key, name, tenants (* is all). `orchard keys` adds and revokes.\n"


class BadKeysError(AccessError):
    """The file of keys, or what is asked of it, cannot be used. The message names the line."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key. `tenants` is None when it may call all."""

    sha256: str
    name: str
    tenants: frozenset[TenantId] | None

    def admits(self, tenant: str) -> bool:
        """Whether the key may call `tenant`."""
        return self.tenants is None or tenant in self.tenants


def digest(key: str) -> str:
    """What the file has of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Read and check the file.

    Raises:
        BadKeysError: it cannot be read, or one of its lines is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadKeysError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadKeysError(f"{path} is not text") from None
    try:
        return parse_keys(text)
    except BadKeysError as error:
        raise BadKeysError(f"{path}, {error}") from None


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The keys in a file's text.

    Raises:
        BadKeysError: a line is wrong. The message begins with its number.
    """
    keys: dict[str, ApiKey] = {}
    lines_of: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        key = _key(words, f"line {number}")
        for already in (key.sha256, f"name {key.name}"):
            if already in lines_of:
                what = "this key" if already == key.sha256 else f"the {already}"
                raise BadKeysError(f"line {number}: {what} is on line {lines_of[already]} already")
            lines_of[already] = number
        keys[key.name] = key
    return tuple(keys.values())


def add_key(path: Path, name: str | None, tenants: frozenset[TenantId] | None) -> tuple[str, ApiKey]:
    """Make a key and add its line; returns the key itself, which is kept nowhere, and what the file has of it.

    Raises:
        BadKeysError: the file is wrong, the name is taken, or is no name.
    """
    secret = _PREFIX + secrets.token_urlsafe(32)
    hashed = digest(secret)
    key = _key([hashed, name or hashed[:8], ALL if tenants is None else ",".join(sorted(tenants))], "the new key")
    with _changing(path):
        text = path.read_text(encoding="utf-8") if path.exists() else _HEADING
        _check(path, text)
        if text and not text.endswith("\n"):
            text += "\n"
        text += f"{key.sha256} {key.name} {_tenants_text(key)}\n"
        _check(path, text)
        _replace(path, text)
    return secret, key


def revoke_key(path: Path, name: str) -> None:
    """Take out a key's line.

    Raises:
        BadKeysError: the file is wrong, or has no such key.
    """
    with _changing(path):
        if name not in {key.name for key in read_keys(path)}:
            raise BadKeysError(f"{path} has no key named {name!r}: orchard keys list shows those it has")
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        _replace(path, "".join(line for line in lines if line.partition("#")[0].split()[1:2] != [name]))


def _key(words: list[str], where: str) -> ApiKey:
    if len(words) != 3:
        raise BadKeysError(f"{where}: write the key's SHA-256, a name, and tenants separated by commas without spaces")
    hashed, name, listed = words
    if not _SHA256.fullmatch(hashed):
        raise BadKeysError(f"{where}: {hashed[:80]!r} is not a SHA-256: 64 of 0-9 a-f. The key itself does not go here")
    if not _NAME.fullmatch(name):
        raise BadKeysError(f"{where}: {name[:80]!r} is no name: use 1 to 64 of a-z 0-9 . _ -")
    if listed == ALL:
        return ApiKey(hashed, name, None)
    try:
        return ApiKey(hashed, name, frozenset(tenant_id(each) for each in listed.split(",")))
    except BadTenantIdError as error:
        raise BadKeysError(f"{where}: {error}; or * for all tenants") from None


def _tenants_text(key: ApiKey) -> str:
    return ALL if key.tenants is None else ",".join(sorted(key.tenants))


def _check(path: Path, text: str) -> None:
    try:
        parse_keys(text)
    except BadKeysError as error:
        raise BadKeysError(f"{path}, {error}") from None


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """One change at a time."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise BadKeysError(f"{path.parent} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        part.write(text)
    Path(part.name).chmod(mode)
    Path(part.name).rename(path)
