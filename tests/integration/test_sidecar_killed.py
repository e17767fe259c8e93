"""The sidecar is killed: who notices, and what it knows when it is back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.crashes import Mender, Steady
from tests.integration.orchard import COLD_HEADER, Orchard, settings_for
from tests.models import train
from tools.eviction.named import PolicyName
from tools.stack import Node

RATE, AWAY_SECONDS = 500.0, 2.0
TENANTS = ("seldom", "often", "sometimes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sidecar-killed")


@pytest.fixture(scope="module")
def orchard(folder: Path) -> Iterator[Orchard]:
    orchard = Orchard(folder, Node(settings_for(folder)))
    models = {tenant: train("binary:logistic", seed=number) for number, tenant in enumerate((*TENANTS, "newcomer"))}
    manifests = orchard.publish(**models)
    room = 3.5 * max(manifest.resident_bytes for manifest in manifests.values())
    with Node(settings_for(folder, memory_budget=int(room), policy=PolicyName.LFU)) as node:
        orchard.node = node
        yield orchard


@pytest.fixture(scope="module")
def mender(orchard: Orchard) -> Iterator[Mender]:
    with Mender(orchard.node) as mender:
        yield mender


def test_residents_notice_nothing_while_it_is_away_and_as_it_comes_back(orchard: Orchard, mender: Mender) -> None:
    for tenant in TENANTS:
        orchard.check(tenant)
    with Steady(orchard.node.at.http, orchard.models, TENANTS, RATE) as steady:
        with mender.away():
            mender.kill("sidecar")
            time.sleep(AWAY_SECONDS)
        mender.wait_whole()
        time.sleep(0.5)
    assert steady.failed == []
    assert steady.wrong == []
    assert len(steady.replies) > AWAY_SECONDS * RATE


def test_it_adopts_residents_with_their_sizes_and_recency(orchard: Orchard, mender: Mender) -> None:
    before = {slot["tenant"]: slot for slot in orchard.status()["tenants"]}
    mender.kill("sidecar")
    orchard.check("often")
    mender.wait_whole()
    after = {slot["tenant"]: slot for slot in orchard.status()["tenants"]}
    assert after.keys() == before.keys() == set(TENANTS)
    for tenant in TENANTS:
        assert after[tenant]["bytes"] == before[tenant]["bytes"]
        assert after[tenant]["version"] == before[tenant]["version"]
        assert after[tenant]["last_used"] >= before[tenant]["last_used"]
        assert after[tenant]["uses"] >= before[tenant]["uses"]


def test_the_next_eviction_is_right_though_most_uses_were_seen_by_nobody(orchard: Orchard, mender: Mender) -> None:
    for tenant, calls in (("seldom", 20), ("sometimes", 30)):
        for _ in range(calls):
            orchard.check(tenant)
    for _ in range(2):
        with mender.away():
            mender.kill("sidecar")
            for _ in range(40):
                orchard.check("often")
        mender.wait_whole()
    # Least often called, and last.
    orchard.check("seldom")
    assert orchard.check("newcomer").headers[COLD_HEADER]
    assert orchard.residents() == {"often", "sometimes", "newcomer"}
