"""The bytes of the one XGBoost model in a file. What they are is told by how they begin, never by opening them."""

from enum import Enum
from pathlib import Path

from tools.compile.archive import MODEL_BYTES_MAX, Archive
from tools.compile.errors import RefusedError

HEAD_BYTES = 512


class Kind(Enum):
    """What a file is, by its leading bytes."""

    MODEL = "an XGBoost model"
    GZIP = "a gzip file"
    PICKLE = "a pickle"
    OLD_MODEL = "XGBoost's old binary format"
    OTHER = "no XGBoost model"


_GZIP = b"\x1f\x8b"
# Protocols 2 to 5 begin with their number. In the older ones, these are how a booster, a dict or a list begins.
_PICKLES = (*(b"\x80" + bytes([protocol]) for protocol in range(2, 6)), b"ccopy_reg\n", b"cxgboost", b"(dp", b"(lp")
_ADVICE = {
    Kind.PICKLE: (
        "it is a pickle, which runs whatever code it likes when it is opened, so it is never opened: load it where "
        "it was made and save it with booster.save_model('model.ubj')"
    ),
    Kind.OLD_MODEL: (
        "it looks like XGBoost's old binary format, which XGBoost 3.1 and later cannot read: load it with an XGBoost "
        "below 3.1 and save it with booster.save_model('model.ubj')"
    ),
    Kind.GZIP: "it is a gzip file inside a gzip file: pack the model itself",
    Kind.OTHER: "it is not an XGBoost model: save one with booster.save_model('model.ubj')",
}


def kind_of(head: bytes) -> Kind:
    """What a file is that begins with `head`, its first `HEAD_BYTES` bytes or all there are."""
    if head.startswith(_GZIP):
        return Kind.GZIP
    if head.startswith(_PICKLES):
        return Kind.PICKLE
    # Both UBJSON and JSON: an object with a "learner" in it. A feature list or a configuration has none.
    if head.lstrip().startswith(b"{") and b"learner" in head:
        return Kind.MODEL
    # "binf" or nothing, then a struct: base_score as a float32 and the number of features as an integer.
    if head.startswith(b"binf") or (b"\x00\x00" in head[:12] and not head.startswith(b"{")):
        return Kind.OLD_MODEL
    return Kind.OTHER


def read_model(path: Path) -> bytes:
    """The bytes of the model at `path`: a model file, or a .tar.gz that holds one.

    Raises:
        RefusedError: it is something else, or an archive that is not safe to read.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
        file.seek(0)
        if kind is Kind.GZIP:
            return _model_in(Archive(file))
        if kind is not Kind.MODEL:
            raise RefusedError(_ADVICE[kind])
        content = file.read(MODEL_BYTES_MAX + 1)
    if len(content) > MODEL_BYTES_MAX:
        raise RefusedError(f"it is larger than {MODEL_BYTES_MAX >> 20} MiB")
    return content


def _model_in(archive: Archive) -> bytes:
    found: list[tuple[str, bytes]] = []
    kinds: dict[str, Kind] = {}
    for member in archive.files():
        head = member.read(HEAD_BYTES)
        kinds[member.name] = kind_of(head)
        if kinds[member.name] is not Kind.MODEL:
            continue
        if found:
            raise RefusedError(f"the archive holds two models, {found[0][0]!r} and {member.name!r}: leave one in it")
        found.append((member.name, head + member.read(MODEL_BYTES_MAX)))
    if found:
        return found[0][1]
    for kind in (Kind.PICKLE, Kind.OLD_MODEL, Kind.GZIP):
        for name, seen in kinds.items():
            if seen is kind:
                raise RefusedError(f"the archive holds no XGBoost model, but of {name!r}: {_ADVICE[kind]}")
    names = ", ".join(sorted(kinds)[:5]) or "nothing"
    raise RefusedError(f"the archive holds no XGBoost model ({names}): put in it what booster.save_model wrote")
