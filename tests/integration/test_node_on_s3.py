"""A node whose catalog is an S3 bucket: what it asks the server, and what it does when the server is gone."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from loadtests.outage import Fleet, How, make_fleet, survive
from loadtests.s3_server import BUCKET, S3Server
from tests.integration.orchard import COLD_HEADER, Orchard, settings_for
from tests.models import train
from tools.stack import Node

TENANTS = ["t0", "t1"]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server, server.found():
        yield server


@pytest.fixture(scope="module")
def orchard(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("on-s3")
    with Node(settings_for(folder, store=f"s3://{BUCKET}/fleet", update_interval=1.0)) as node:
        orchard = Orchard(folder, node)
        orchard.publish(**{tenant: train("binary:logistic", seed=n) for n, tenant in enumerate(TENANTS)})
        yield orchard


def verbs(s3: S3Server) -> Counter[str]:
    return Counter(request.verb for request in s3.requests())


def test_a_cold_start_from_s3_reads_the_pointer_and_the_bundle_and_lists_nothing(
    orchard: Orchard, s3: S3Server
) -> None:
    s3.forget_requests()
    assert orchard.check("t0").headers[COLD_HEADER] == "fetch"
    asked = {request.key for request in s3.requests()}
    assert asked == {"fleet/t0/live.json", f"fleet/t0/{orchard.status()['tenants'][0]['version']}.tar.zst"}
    assert set(verbs(s3)) <= {"GET", "HEAD"}


def test_a_cold_start_from_disk_asks_the_store_once_at_most(orchard: Orchard, s3: S3Server) -> None:
    orchard.check("t1")
    orchard.unload("t1")
    s3.forget_requests()
    assert orchard.check("t1").headers[COLD_HEADER] == "disk"
    asked = [request for request in s3.requests() if "/t1/" in request.key]
    assert len(asked) <= 1
    assert all(request.key.endswith("live.json") for request in asked)


def test_a_warm_call_asks_the_store_nothing(orchard: Orchard, s3: S3Server) -> None:
    orchard.check("t0")
    s3.forget_requests()
    for _ in range(20):
        orchard.check("t0")
    assert all(request.key.endswith("live.json") for request in s3.requests())
    assert verbs(s3)["LIST"] == 0


@pytest.fixture(scope="module")
def outage_node(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Fleet]]:
    folder, store = tmp_path_factory.mktemp("outage"), f"s3://{BUCKET}/outage"
    fleet, budget = make_fleet(store, folder, resident=3, on_disk=6, never=12)
    with Node(settings_for(folder, store=store, memory_budget=budget)) as node:
        yield node, fleet


@pytest.mark.parametrize(("how", "strangers"), [("killed", slice(6)), ("frozen", slice(6, None))])
def test_with_the_store_gone_what_is_in_memory_and_on_disk_is_served_and_the_rest_waits_politely(
    s3: S3Server, outage_node: tuple[Node, Fleet], how: How, strangers: slice
) -> None:
    node, fleet = outage_node
    outage = survive(node, s3, replace(fleet, never=fleet.never[strangers]), how, seconds=6.0)
    assert outage.broken == [], outage
