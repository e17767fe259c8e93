"""`python -m tools.compile.dropin`: what a sidecar gets to hear about a model nobody has looked at."""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.boosters import train
from tests.unit.test_compile_source import pack
from tools.catalog.manifest import Manifest
from tools.compile.dropin import main


def _dropin(model: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.compile.dropin", str(model), "--tenant", "m37", "--version", "5"]
    return subprocess.run([*command, "--out", str(out), *options], capture_output=True, text=True, timeout=60)


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dropin") / "m37.tar.gz"
    path.write_bytes(pack({"xgboost-model": bytes(train("binary:logistic").save_raw("ubj"))}))
    return path


def test_an_archive_becomes_an_entry(archive: Path, tmp_path: Path) -> None:
    done = _dropin(archive, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    manifest = Manifest.from_dict(_answer(done)["manifest"])
    assert (manifest.tenant, manifest.version) == ("m37", 5)
    assert Manifest.from_json((tmp_path / "out/m37/manifest.json").read_bytes()) == manifest
    assert (tmp_path / "out/m37/5/checkpoint.tl").is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m37"]


def test_what_cannot_be_served_is_told_from_what_went_wrong(tmp_path: Path) -> None:
    (tmp_path / "m37.tar.gz").write_bytes(pack({"../m": b"x"}))
    done = _dropin(tmp_path / "m37.tar.gz", tmp_path / "out")
    assert done.returncode == 3
    assert "leads out of it" in _answer(done)["refused"]
    gone = _dropin(tmp_path / "gone.tar.gz", tmp_path / "out")
    assert gone.returncode == 1
    assert "gone.tar.gz" in _answer(gone)["broken"]
    assert list((tmp_path / "out").iterdir()) == []


def test_it_holds_itself_to_its_memory(tmp_path: Path) -> None:
    with (tmp_path / "m37.ubj").open("wb") as file:
        file.write(b'{"learner":')
        file.truncate(700 << 20)
    done = _dropin(tmp_path / "m37.ubj", tmp_path / "out", "--memory-bytes", str(512 << 20))
    assert done.returncode == 3
    assert _answer(done)["refused"] == "it needs more memory than the limit allows"


@pytest.mark.parametrize("options", [("--tenant", "Bad"), ("--version", "0"), ("--triton-release", "1.0")])
def test_bad_arguments_are_status_2(
    archive: Path, tmp_path: Path, options: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"--tenant": "m37", "--version": "5", "--out": str(tmp_path / "out")} | {options[0]: options[1]}
    with pytest.raises(SystemExit) as ended:
        sys.exit(main([str(archive), *itertools.chain(*arguments.items())]))
    assert ended.value.code == 2
    assert options[1] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_entry_that_is_there_is_not_overwritten(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "m37").mkdir()
    assert main([str(archive), "--tenant", "m37", "--version", "5", "--out", str(tmp_path)]) == 2
