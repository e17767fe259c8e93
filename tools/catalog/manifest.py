"""What a bundle says of itself: the first member of every bundle, and the body of every live pointer."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from tools.catalog.tenant import BadTenantIdError, TenantId, tenant_id

MANIFEST_NAME = "manifest.json"

# The rows one call may hold: the `max_batch_size` of every entry, and what a node checks a call against.
MAX_ROWS = 8192


class BadManifestError(ValueError):
    """The text is not a manifest this release can trust."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file of a repository entry. `path` is relative to the tenant's folder, with forward slashes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the checkpoint's answers were from XGBoost's: the largest error over `rows` rows.

    `measure` is "absolute" (probabilities) or "relative" (everything else); a proof passed when
    `max_error <= tolerance`.
    """

    rows: int
    max_error: float
    tolerance: float
    measure: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A compiled tenant.

    `features` and `outputs` are the lengths of one row of `input__0` and `output__0` (both FP32);
    `resident_bytes` is the memory Triton is expected to need for it; `source_sha256` is the hash of the
    XGBoost model it was compiled from; `notes` are sentences for people ("serves iteration 41 of 60: ...").
    """

    tenant: TenantId
    version: int
    files: tuple[FileDigest, ...]
    features: int
    outputs: int
    objective: str
    trees: int
    resident_bytes: int
    triton_release: str
    xgboost_version: str
    treelite_version: str
    parity: Parity
    source_sha256: str
    notes: tuple[str, ...] = ()

    @property
    def entry_bytes(self) -> int:
        """Bytes on disk of the entry's files, the manifest itself not counted."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> str:
        """The manifest as JSON text, keys in the order of the fields."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """Read a manifest and check it.

        Raises:
            BadManifestError: not JSON, a field is missing or has the wrong type or an impossible value.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadManifestError(f"the manifest is not JSON: {error}") from None
        return cls.from_dict(raw)

    @classmethod
    def from_dict(cls, raw: Any) -> "Manifest":
        """Build a manifest from decoded JSON. Raises `BadManifestError` as `from_json` does."""
        fields = _Fields(raw, "the manifest")
        try:
            tenant = tenant_id(fields.text("tenant"))
        except BadTenantIdError as error:
            raise BadManifestError(f"the manifest's tenant: {error}") from None
        parity = _Fields(fields.any("parity"), "the manifest's parity")
        manifest = cls(
            tenant=tenant,
            version=fields.count("version", at_least=1),
            files=tuple(_file(item) for item in fields.items("files")),
            features=fields.count("features", at_least=1),
            outputs=fields.count("outputs", at_least=1),
            objective=fields.text("objective"),
            trees=fields.count("trees"),
            resident_bytes=fields.count("resident_bytes", at_least=1),
            triton_release=fields.text("triton_release"),
            xgboost_version=fields.text("xgboost_version"),
            treelite_version=fields.text("treelite_version"),
            parity=Parity(
                rows=parity.count("rows", at_least=1),
                max_error=parity.number("max_error"),
                tolerance=parity.number("tolerance"),
                measure=parity.text("measure"),
            ),
            source_sha256=fields.text("source_sha256"),
            notes=tuple(str(note) for note in fields.items("notes")),
        )
        manifest._check_entry()
        return manifest

    def _check_entry(self) -> None:
        expected = {"config.pbtxt", f"{self.version}/checkpoint.tl"}
        if {file.path for file in self.files} != expected or len(self.files) != len(expected):
            raise BadManifestError(f"the manifest's files are not exactly {sorted(expected)}")
        if not self.parity.max_error <= self.parity.tolerance:
            raise BadManifestError("the manifest's parity result is not a pass")
        if self.resident_bytes < self.entry_bytes:
            raise BadManifestError("the manifest's 'resident_bytes' are fewer than its files have")


def _file(raw: Any) -> FileDigest:
    fields = _Fields(raw, "a file of the manifest")
    digest = fields.text("sha256")
    if len(digest) != 64 or any(c not in "0123456789abcdef" for c in digest):
        raise BadManifestError("a file of the manifest: 'sha256' is not 64 lower-case hex digits")
    return FileDigest(path=fields.text("path"), sha256=digest, bytes=fields.count("bytes"))


class _Fields:
    """Typed access to decoded JSON whose every failure names the place."""

    def __init__(self, raw: Any, place: str) -> None:
        if not isinstance(raw, dict):
            raise BadManifestError(f"{place} is not a JSON object")
        self._raw = raw
        self._place = place

    def any(self, name: str) -> Any:
        if name not in self._raw:
            raise BadManifestError(f"{self._place} has no {name!r}")
        return self._raw[name]

    def text(self, name: str) -> str:
        value = self.any(name)
        if not isinstance(value, str):
            raise BadManifestError(f"{self._place}: {name!r} is not a string")
        return value

    def count(self, name: str, at_least: int = 0) -> int:
        value = self.any(name)
        if type(value) is not int or not at_least <= value < 2**63:
            raise BadManifestError(f"{self._place}: {name!r} is not an integer of at least {at_least}")
        return value

    def number(self, name: str) -> float:
        value = self.any(name)
        if type(value) not in (int, float) or not abs(value) < float("inf"):
            raise BadManifestError(f"{self._place}: {name!r} is not a finite number")
        return float(value)

    def items(self, name: str) -> list[Any]:
        value = self.any(name)
        if not isinstance(value, list):
            raise BadManifestError(f"{self._place}: {name!r} is not a list")
        return value
