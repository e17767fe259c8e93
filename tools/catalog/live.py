"""The live pointer: which version of a tenant is served, and everything a node wants to know before fetching it."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tools.catalog.manifest import BadManifestError, Manifest
from tools.catalog.tenant import TenantId


class BadPointerError(ValueError):
    """The text is not the live pointer of this tenant. Publishing the tenant again replaces it."""


@dataclass(frozen=True, slots=True)
class LivePointer:
    """What `live.json` says.

    The manifest is embedded whole, so features, sizes and hashes are known before the bundle is fetched.
    `bundle_sha256` and `bundle_bytes` are of the bundle as stored; `published_at` is UTC, as ISO 8601.
    """

    manifest: Manifest
    bundle_sha256: str
    bundle_bytes: int
    published_at: str

    @property
    def tenant(self) -> TenantId:
        """Whose pointer this is."""
        return self.manifest.tenant

    @property
    def version(self) -> int:
        """The version that is live."""
        return self.manifest.version

    def to_json(self) -> str:
        """The pointer as JSON text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, tenant: TenantId) -> "LivePointer":
        """Read the pointer that was found under the key of `tenant`.

        Raises:
            BadPointerError: it is damaged, or the pointer of someone else.
        """
        try:
            pointer = _pointer(json.loads(text))
        except (ValueError, RecursionError) as error:  # whatever is no JSON, or no pointer
            raise BadPointerError(f"the live pointer of {tenant}: {error}. Publish it again") from None
        if pointer.tenant != tenant:
            raise BadPointerError(f"the live pointer of {tenant} is that of {pointer.tenant}. Publish {tenant} again")
        return pointer


def utc_now() -> str:
    """The time now, as `published_at` has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _pointer(raw: Any) -> LivePointer:
    if not isinstance(raw, dict):
        raise BadManifestError("it is not a JSON object")
    digest, size, published = raw.get("bundle_sha256"), raw.get("bundle_bytes"), raw.get("published_at")
    if not isinstance(digest, str) or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BadManifestError("'bundle_sha256' is not 64 lower-case hex digits")
    if type(size) is not int or not 0 < size < 2**63:
        raise BadManifestError("'bundle_bytes' is not a positive integer")
    if not isinstance(published, str) or not _is_utc(published):
        raise BadManifestError("'published_at' is not a time in UTC")
    return LivePointer(Manifest.from_dict(raw.get("manifest")), digest, size, published)


def _is_utc(text: str) -> bool:
    try:
        offset = datetime.fromisoformat(text).utcoffset()
    except ValueError:
        return False
    return offset is not None and not offset
