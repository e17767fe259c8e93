"""`orchard push-folder` on a real S3 server: compile, publish, skip what is live, resume."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.s3_server import BUCKET, Request, S3Server
from tests.boosters import train

ORCHARD = str(Path(sys.executable).parent / "orchard")
TENANTS = [f"m{number}" for number in range(6)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with S3Server(tmp_path / "s3") as running:
        yield running


@pytest.fixture
def environment(server: S3Server) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ORCHARD_"))}
    return {**kept, **server.environment, "ORCHARD_STORE": f"s3://{BUCKET}/fleet", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("trained")
    paths = [folder / f"{number}.ubj" for number in range(len(TENANTS) + 1)]
    for number, path in enumerate(paths):
        train("binary:logistic", rounds=3, seed=number, subsample=0.5).save_model(path)
    return paths


@pytest.fixture
def models(tmp_path: Path, trained: list[Path]) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for tenant, path in zip(TENANTS, trained, strict=False):
        (folder / f"{tenant}.ubj").write_bytes(path.read_bytes())
    return folder


def orchard(environment: dict[str, str], *arguments: object, status: int = 0) -> str:
    command = [ORCHARD, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def puts(server: S3Server) -> list[Request]:
    return [request for request in server.requests() if request.verb == "PUT"]


def test_a_folder_is_pushed_once_and_then_only_what_changed(
    server: S3Server, environment: dict[str, str], models: Path, trained: list[Path]
) -> None:
    assert "6 published" in orchard(environment, "push-folder", models)
    assert {request.verb for request in server.requests()} == {"GET", "HEAD", "PUT"}
    listed = json.loads(orchard(environment, "list", "--json"))
    assert [row["tenant"] for row in listed] == TENANTS

    server.forget_requests()
    assert "0 published" in orchard(environment, "push-folder", models)
    assert puts(server) == []

    (models / "m3.ubj").write_bytes(trained[-1].read_bytes())
    assert "1 published" in orchard(environment, "push-folder", models)
    assert {request.key.split("/")[1] for request in puts(server)} == {"m3"}
    assert len(json.loads(orchard(environment, "list", "m3", "--json"))) == 2


def test_one_bad_model_fails_alone_and_is_named(server: S3Server, environment: dict[str, str], models: Path) -> None:
    whole = (models / "m1.ubj").read_bytes()
    (models / "m1.ubj").write_bytes(whole[: len(whole) // 2])
    (models / "m2.ubj").write_bytes(b"not a model")
    output = orchard(environment, "push-folder", models, status=1)
    assert "4 published" in output
    assert "2 failed" in output
    assert "m1.ubj" in output
    assert "m2.ubj" in output


def test_a_push_that_was_killed_is_resumed(server: S3Server, environment: dict[str, str], models: Path) -> None:
    first = subprocess.Popen([ORCHARD, "push-folder", str(models), "--jobs", "1"], env=environment)
    give_up = time.monotonic() + 60
    while not any(request.key.endswith("live.json") for request in puts(server)):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    first.kill()
    first.wait()
    live = set((server.objects / BUCKET / "fleet").glob("*/live.json"))
    assert 0 < len(live) < len(TENANTS)
    before = {path: path.stat().st_mtime_ns for path in live}
    assert f"{len(live)} unchanged" in orchard(environment, "push-folder", models)
    assert {path: path.stat().st_mtime_ns for path in live} == before
    assert len(json.loads(orchard(environment, "list", "--json"))) == len(TENANTS)


def test_a_store_that_is_down_ends_the_push_in_one_line(
    server: S3Server, environment: dict[str, str], models: Path
) -> None:
    server.kill()
    command = [ORCHARD, "push-folder", str(models)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "Traceback" not in done.stderr
