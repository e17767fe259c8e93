"""A node whose catalog is an S3 bucket: what it asks the server, and what it does when the server is gone."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import requests

from loadtests.s3_server import BUCKET, S3Server
from tests.integration.orchard import COLD_HEADER, Orchard, binary_call, settings_for
from tests.models import train
from tools.stack import Node

TENANTS = [f"t{number}" for number in range(6)]
FETCHED, ON_DISK, NEVER = TENANTS[:2], TENANTS[2:4], TENANTS[4:]


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


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_with_the_store_gone_what_is_in_memory_and_on_disk_is_served_and_the_rest_waits_politely(
    orchard: Orchard, s3: S3Server, how: str
) -> None:
    for tenant in (*FETCHED, *ON_DISK):
        orchard.check(tenant)
    for tenant in ON_DISK:
        orchard.unload(tenant)
    s3.kill() if how == "killed" else s3.freeze()
    try:
        _hold_without_the_store(orchard)
    finally:
        s3.start() if how == "killed" else s3.thaw()
    deadline = time.monotonic() + 30
    while orchard.ask(NEVER[0]).status_code != 200:
        assert time.monotonic() < deadline, "it did not recover by itself"
        time.sleep(0.5)
    orchard.check(NEVER[0])
    orchard.unload(NEVER[0])
    _forget_on_disk(orchard, NEVER[0])


def _hold_without_the_store(orchard: Orchard) -> None:
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def call_residents() -> None:
        body, headers = binary_call(orchard.models["t0"].rows[:1])
        with requests.Session() as session:
            while not stop.is_set():
                for tenant in FETCHED:
                    statuses[session.post(orchard.url(tenant), data=body, headers=headers, timeout=30).status_code] += 1

    caller = threading.Thread(target=call_residents)
    caller.start()
    try:
        began = time.monotonic()
        for tenant in ON_DISK:
            assert orchard.check(tenant).headers[COLD_HEADER] == "disk"
        assert time.monotonic() - began < 3 * len(ON_DISK), "the disk tier waited for the store"
        for tenant in NEVER:
            response = orchard.ask(tenant)
            assert response.status_code == 503
            assert int(response.headers["Retry-After"]) > 0
            assert response.json()["error"]
        for tenant in ON_DISK:
            orchard.unload(tenant)
            orchard.check(tenant)
    finally:
        stop.set()
        caller.join()
    assert set(statuses) == {200}


def _forget_on_disk(orchard: Orchard, tenant: str) -> None:
    """So that the tenant is known to the store alone again: the node removes what it finds damaged."""
    (orchard.node.settings.repository / tenant / "config.pbtxt").write_text("damaged")
