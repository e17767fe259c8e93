"""`orchard compile`: files and folders, tenants, bundles, and what it says and returns."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from tests.boosters import train
from tools.catalog.bundle import unpack_bundle, verify_bundle
from tools.cli import app
from tools.compile.batch import new_version, tenant_name


def _orchard(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compile", *map(str, arguments)], terminal_width=200, env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def model() -> bytes:
    return bytes(train("binary:logistic").save_raw("ubj"))


@pytest.fixture
def folder(tmp_path: Path, model: bytes) -> Path:
    """Three good models, each stored in another way."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m1.ubj").write_bytes(model)
    (folder / "m2.json").write_bytes(train("reg:gamma").save_raw("json"))
    with tarfile.open(folder / "m3.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("xgboost-model")
        info.size = len(model)
        tar.addfile(info, io.BytesIO(model))
    return folder


def test_a_folder_becomes_a_bundle_per_tenant(folder: Path, tmp_path: Path) -> None:
    result = _orchard(folder, "--out", tmp_path / "out", "--version", 7, "--jobs", 2)
    assert result.exit_code == 0, result.output
    assert "3 compiled into" in result.output
    for tenant in ("m1", "m2", "m3"):
        with (tmp_path / "out" / tenant / "7.tar.zst").open("rb") as stream:
            manifest = verify_bundle(stream)
        assert (manifest.tenant, manifest.version) == (tenant, 7)
        assert manifest.parity.rows > 1000


def test_only_bundles_are_left(folder: Path, tmp_path: Path) -> None:
    _orchard(folder, "--out", tmp_path / "out", "--version", 7)
    left = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert left == ["m1/7.tar.zst", "m2/7.tar.zst", "m3/7.tar.zst"]


def test_bad_files_fail_alone_and_are_listed(folder: Path, tmp_path: Path, model: bytes) -> None:
    (folder / "cut.ubj").write_bytes(model[: len(model) // 2])
    (folder / "pickled.pkl").write_bytes(b"\x80\x04\x95rest")
    result = _orchard(folder, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "3 compiled into" in result.output
    assert "2 failed" in result.output
    assert "cut.ubj" in result.output
    assert "it is a pickle" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["m1", "m2", "m3"]


def test_the_manifest_names_the_hash_of_the_model_itself(folder: Path, tmp_path: Path, model: bytes) -> None:
    _orchard(folder, "--out", tmp_path / "out", "--version", 7)
    for tenant in ("m1", "m3"):
        with (tmp_path / "out" / tenant / "7.tar.zst").open("rb") as stream:
            assert verify_bundle(stream).source_sha256 == hashlib.sha256(model).hexdigest()


def test_entries_are_what_the_bundles_hold(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert _orchard(folder, "--out", tmp_path / "out", "--entries", tmp_path / "e", "--version", 7).exit_code == 0
    bundle, unpacked = tmp_path / "out/m1/7.tar.zst", tmp_path / "unpacked"
    unpacked.mkdir()
    with bundle.open("rb") as stream:
        manifest = verify_bundle(stream)
    with bundle.open("rb") as stream:
        unpack_bundle(stream, unpacked, manifest)
    for name in ("manifest.json", "config.pbtxt", "7/checkpoint.tl"):
        assert (tmp_path / "e/m1" / name).read_bytes() == (unpacked / name).read_bytes()


def test_one_file_can_be_given_its_tenant(folder: Path, tmp_path: Path) -> None:
    result = _orchard(folder / "m1.ubj", "--tenant", "acme", "--out", tmp_path / "out", "--triton-release", "26.06")
    assert result.exit_code == 0
    (bundle,) = (tmp_path / "out/acme").iterdir()
    with bundle.open("rb") as stream:
        assert verify_bundle(stream).triton_release == "26.06"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("{folder}/m1.ubj", "--tenant", "Acme"), "'Acme' is not a tenant id"),
        (("{folder}", "--tenant", "acme"), "not with a folder"),
        (("{folder}", "--triton-release", "24.01"), "'24.01' is not a Triton release"),
        (("{folder}/none.ubj",), "does not exist"),
        (("{empty}",), "there is no model at"),
        (("{folder}", "--version", "0"), "Invalid value"),
    ],
)
def test_bad_usage_compiles_nothing(folder: Path, tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    (tmp_path / "empty").mkdir()
    filled = [argument.format(folder=folder, empty=tmp_path / "empty") for argument in arguments]
    result = _orchard(*filled, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert reason in result.output
    assert not (tmp_path / "out").exists()


def test_file_names_that_are_no_tenants_are_all_named_before_anything_is_compiled(folder: Path, tmp_path: Path) -> None:
    for name in ("Big.ubj", "a b.json", "m1.json"):
        (folder / name).write_bytes(b"{}")
    result = _orchard(folder, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "'Big' is not a tenant id" in result.output
    assert "'a b' is not a tenant id" in result.output
    assert "would both be tenant 'm1'" in result.output
    assert not (tmp_path / "out").exists()


def test_ctrl_c_stops_the_children_and_leaves_no_half_files(folder: Path, tmp_path: Path, model: bytes) -> None:
    for number in range(400):
        (folder / f"t{number}.ubj").write_bytes(model)
    command = [
        sys.executable,
        "-c",
        "from tools.cli import main; main()",
        "compile",
        str(folder),
        "--out",
        str(tmp_path / "o"),
    ]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "o").glob("*/*.tar.zst")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) != 0
    files = [path for path in (tmp_path / "o").rglob("*") if path.is_file()]
    assert 0 < len(files) < 400
    for path in files:
        assert path.name.endswith(".tar.zst")
        with path.open("rb") as stream:
            verify_bundle(stream)
    assert not list((tmp_path / "o").glob(".compiling-*"))


def test_versions_sort_by_time_and_differ() -> None:
    early, late = (new_version(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    assert early < late < 2**63
    assert str(early).startswith("20260101000000000")
    assert len({new_version(datetime(2026, 1, 1, tzinfo=UTC)) for _ in range(60)}) > 20


@given(
    st.sampled_from([".ubj", ".json", ".tar.gz", ".tgz", ".bin", ""]), st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
)
def test_a_tenant_is_named_as_its_file(suffix: str, name: str) -> None:
    assert tenant_name(Path(f"folder/{name}{suffix}")) == name
