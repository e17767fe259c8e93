"""Triton is killed under load: what calls get, how soon it is whole again, and whose fault it was."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.integration.crashes import Mender, Reply, Steady, wait_until
from tests.integration.orchard import COLD_HEADER, Orchard, settings_for
from tests.models import train
from tools.stack import Node

ORCHARD = str(Path(sys.executable).with_name("orchard"))
RATE = 200.0
PINNED, OTHERS = ("pin-a", "pin-b"), ("c", "d", "e", "f")
# Triton starts in half a second on a quiet machine.
SOON, NEVER = 5.0, 20.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("triton-killed")


@pytest.fixture(scope="module")
def orchard(folder: Path) -> Iterator[Orchard]:
    settings = settings_for(folder, memory_budget=10**9, pinned=PINNED)
    orchard = Orchard(folder, Node(settings))
    models = {tenant: train("binary:logistic", seed=number) for number, tenant in enumerate((*PINNED, *OTHERS))}
    orchard.publish(**{tenant.replace("-", "_"): model for tenant, model in models.items()})
    with Node(settings) as node:
        orchard.node = node
        for tenant in (*PINNED, *OTHERS):
            orchard.check(tenant)
        yield orchard


@pytest.fixture(scope="module")
def mender(orchard: Orchard) -> Iterator[Mender]:
    with Mender(orchard.node) as mender:
        yield mender


def test_under_load_pinned_tenants_answer_soon_and_no_call_hangs_or_is_wrong(orchard: Orchard, mender: Mender) -> None:
    with Steady(orchard.node.at.http, orchard.models, (*PINNED, *OTHERS), RATE) as steady:
        time.sleep(0.5)
        mender.kill("triton")
        killed = time.monotonic()
        wait_until(lambda: all(_answered_since(steady.replies, killed, tenant) for tenant in PINNED))
        back = max(_answered_since(steady.replies, killed, tenant) or 0.0 for tenant in PINNED)
        time.sleep(1.0)
    print(f"\nback after {back - killed:.2f} s; {len(steady.failed)} of {len(steady.replies)} calls failed")
    assert back - killed < SOON
    assert steady.wrong == []
    assert {reply.status for reply in steady.failed} <= {502, 503}
    assert all(reply.retry_after for reply in steady.failed if reply.status == 503)
    assert max(reply.seconds for reply in steady.replies) < NEVER
    later = [reply for reply in steady.replies if reply.asked > back]
    assert later
    assert [reply for reply in later if reply.status != 200] == []


def test_it_is_filled_again_before_anybody_calls(orchard: Orchard, mender: Mender) -> None:
    mender.wait_whole()
    mender.kill("triton")
    wait_until(lambda: not orchard.residents())
    wait_until(lambda: orchard.residents() == {*PINNED, *OTHERS})
    for tenant in (*PINNED, *OTHERS):
        assert COLD_HEADER not in orchard.check(tenant).headers


def test_a_triton_that_stays_away_is_a_503_with_retry_after_and_is_shown(orchard: Orchard, mender: Mender) -> None:
    mender.wait_whole()
    with mender.away():
        mender.kill("triton")
        wait_until(lambda: not orchard.status()["triton_up"])
        began = time.monotonic()
        answer = orchard.ask("c")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert "Triton" in answer.json()["error"]
        assert 4.0 < time.monotonic() - began < NEVER
        assert orchard.residents() == set()
    orchard.check("c")


def test_a_tenant_whose_load_ends_triton_twice_is_quarantined_alone_until_it_is_released(
    orchard: Orchard, mender: Mender
) -> None:
    orchard.publish(bad=train("reg:squarederror", seed=9))
    for _ in range(2):
        mender.wait_whole()
        _die_while_loading(orchard, mender, "bad")
    mender.wait_whole()
    refused = orchard.ask("bad")
    assert refused.status_code == 500
    assert "quarantined" in refused.json()["error"]
    assert "orchard release bad" in refused.json()["error"]
    orchard.check("c")
    orchard.check("pin-a")

    mender.kill("sidecar")
    mender.wait_whole()
    assert [each["tenant"] for each in orchard.status()["quarantined"]] == ["bad"]
    assert "orchard_quarantined_tenants 1.0" in _metrics(orchard)
    assert "quarantined" in _orchard(orchard, "status").stdout
    assert orchard.ask("bad").status_code == 500

    released = _orchard(orchard, "release", "bad")
    assert released.returncode == 0, released.stderr
    orchard.check("bad")
    assert orchard.status()["quarantined"] == []
    assert _orchard(orchard, "release", "bad").returncode == 1


def test_a_new_version_releases_a_quarantined_tenant(orchard: Orchard, mender: Mender) -> None:
    orchard.publish(worse=train("reg:squarederror", seed=10))
    for _ in range(2):
        mender.wait_whole()
        _die_while_loading(orchard, mender, "worse")
    mender.wait_whole()
    assert orchard.ask("worse").status_code == 500
    orchard.publish(worse=train("reg:squarederror", seed=11))
    orchard.check("worse")
    assert orchard.status()["quarantined"] == []


def _die_while_loading(orchard: Orchard, mender: Mender, tenant: str) -> None:
    """Kill Triton while this tenant, and no other, is being loaded: it is stopped first, so that it is caught at it."""
    wait_until(lambda: {*PINNED, *OTHERS} <= orchard.residents())
    os.kill(orchard.node.pid("triton"), signal.SIGSTOP)
    asking = threading.Thread(target=_load, args=(orchard, tenant))
    asking.start()
    wait_until(lambda: 'orchard_models{state="loading"} 1.0' in _metrics(orchard))
    mender.kill("triton")
    asking.join()


def _load(orchard: Orchard, tenant: str) -> None:
    # Not through the front, which waits for the Triton that is stopped.
    answer = requests.post(f"{orchard.node.admin_url}/models", json={"model_name": tenant}, timeout=60)
    assert answer.status_code == 503, answer.text


def _metrics(orchard: Orchard) -> str:
    return requests.get(f"{orchard.node.admin_url}/metrics", timeout=10).text


def _orchard(orchard: Orchard, *arguments: str) -> subprocess.CompletedProcess[str]:
    state = ("--state", str(orchard.node.settings.state))
    return subprocess.run([ORCHARD, *arguments, *state], capture_output=True, text=True, check=False, timeout=30)


def _answered_since(replies: list[Reply], moment: float, tenant: str) -> float | None:
    """When the first call of the tenant that was asked after `moment` was answered."""
    answered = [
        reply.asked + reply.seconds
        for reply in tuple(replies)
        if reply.tenant == tenant and reply.status == 200 and reply.asked > moment
    ]
    return min(answered, default=None)
