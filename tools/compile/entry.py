"""One model, from its file to a proved repository entry. Runs in a child process: it opens the model."""

import hashlib
from pathlib import Path

import treelite
import xgboost

from tools.catalog.manifest import MANIFEST_NAME, FileDigest, Manifest
from tools.compile.booster import describe_booster, open_booster
from tools.compile.checkpoint import convert, write_checkpoint
from tools.compile.config import render_config
from tools.compile.proof import prove
from tools.compile.request import Request
from tools.compile.rows import proof_rows
from tools.compile.size import resident_bytes
from tools.compile.source import read_model


def compile_entry(request: Request, entry: Path) -> Manifest:
    """Write the repository entry of a model into the folder `entry`, which must not exist, and prove it.

    When this raises, whatever is in `entry` by then must not be used.

    Raises:
        RefusedError: the model cannot be served, or the proof failed.
        OSError: a file cannot be read or written.
    """
    model = read_model(request.source)
    booster = open_booster(model)
    described = describe_booster(booster)
    converted = convert(booster, described)
    checkpoint = entry / str(request.version) / "checkpoint.tl"
    checkpoint.parent.mkdir(parents=True)
    write_checkpoint(converted.model, checkpoint)
    (entry / "config.pbtxt").write_text(render_config(request.tenant, described, request.release), encoding="utf-8")
    parity = prove(checkpoint, booster, described, proof_rows(converted.forest, described.features))
    manifest = Manifest(
        tenant=request.tenant,
        version=request.version,
        files=(_digest(entry, "config.pbtxt"), _digest(entry, f"{request.version}/checkpoint.tl")),
        features=described.features,
        outputs=described.outputs,
        objective=described.objective,
        trees=len(converted.forest),
        resident_bytes=resident_bytes(checkpoint.stat().st_size),
        triton_release=request.release,
        xgboost_version=xgboost.__version__,
        treelite_version=treelite.__version__,
        parity=parity,
        source_sha256=hashlib.sha256(model).hexdigest(),
        notes=described.notes + converted.notes,
    )
    (entry / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _digest(entry: Path, name: str) -> FileDigest:
    content = (entry / name).read_bytes()
    return FileDigest(name, hashlib.sha256(content).hexdigest(), len(content))
