"""Which caller may call whom, by the file of API keys. A change of the file counts from the next second on."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from sidecar.errors import ForbiddenError, UnauthenticatedError
from tools.access.keys import ApiKey, BadKeysError, digest, read_keys
from tools.catalog.tenant import TenantId

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_BEARER = re.compile(r"Bearer +(\S+)")


class Callers:
    """The keys of a file. A file that has become wrong is logged, and the keys before it go on to count."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises `BadKeysError` if the file cannot be used."""
        self._file = file
        self._clock = clock
        self._looked = clock()
        self._seen = _stamp(file)
        self._keys = _by_digest(file)

    def authenticate(self, metadata: Mapping[str, str]) -> ApiKey:
        """The key that a call carries, in `x-api-key` or as a bearer token.

        Raises:
            UnauthenticatedError: it carries none, or one that is not known.
        """
        self._look()
        bearer = _BEARER.fullmatch(metadata.get("authorization", ""))
        secret = metadata.get("x-api-key") or (bearer[1] if bearer else "")
        key = self._keys.get(digest(secret)) if secret else None
        if key is None:
            raise UnauthenticatedError("send an API key: x-api-key, or authorization with 'Bearer <key>', as metadata")
        return key

    def admit(self, metadata: Mapping[str, str], tenant: TenantId) -> None:
        """Return if the call may be one of `tenant`.

        Raises:
            UnauthenticatedError: as `authenticate`.
            ForbiddenError: the key is for other tenants.
        """
        if not self.authenticate(metadata).admits(tenant):
            raise ForbiddenError("this API key may not call this tenant")

    def _look(self) -> None:
        if self._clock() - self._looked < _LOOK_SECONDS:
            return
        self._looked = self._clock()
        stamp = _stamp(self._file)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._keys = _by_digest(self._file)
            log.info("%d API keys from %s", len(self._keys), self._file)
        except BadKeysError as error:
            log.error("the API keys stay as they were: %s", error)


def _by_digest(file: Path) -> dict[str, ApiKey]:
    return {key.sha256: key for key in read_keys(file)}


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size
