"""The status page in a real browser, while the node is used."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import requests

from tests.integration.browser import Browser, browser
from tests.integration.orchard import Orchard, settings_for
from tests.models import train
from tools.stack import Node

TENANTS = [f"t{number}" for number in range(5)]
ROOM_FOR = 3
RESIDENTS = "[...document.querySelectorAll('#residents tbody tr td:first-child')].map(cell => cell.title).sort().join()"
EVENTS = "[...document.querySelectorAll('#events li')].map(item => item.innerText).join(';')"


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchard]:
    folder = tmp_path_factory.mktemp("page")
    with Node(settings_for(folder, memory_budget=int((ROOM_FOR + 0.5) * 330_000), pinned=("t0",))) as node:
        orchard = Orchard(folder, node)
        orchard.publish(**{name: train("binary:logistic", seed=n) for n, name in enumerate(TENANTS)})
        orchard.check("t0")
        yield orchard


@pytest.fixture
async def page(orchard: Orchard, tmp_path: Path) -> AsyncIterator[Browser]:
    async with browser(tmp_path / "profile") as page:
        await page.look_like(1280, 900)
        await page.open(f"{orchard.node.admin_url}/")
        await page.wait_for("document.querySelector('#health.good') !== null")
        yield page
        assert page.errors == []


async def test_loads_and_evictions_are_seen_as_they_happen(orchard: Orchard, page: Browser) -> None:
    await page.wait_for(f"{RESIDENTS}.includes('t0')")
    for tenant in TENANTS[1:]:
        await asyncio.to_thread(orchard.check, tenant)
    await page.wait_for(f"{RESIDENTS} === '{','.join(sorted(orchard.residents()))}'")
    await page.wait_for(f"/loaded\\s+t4 \\(new\\)/.test({EVENTS}) && /evicted\\s+t1/.test({EVENTS})")
    text = await page.text()
    assert f"{len(orchard.residents())} models" in text
    assert f"{orchard.status()['loads']} loads, {orchard.status()['evictions']} evictions" in text


async def test_the_figures_are_those_of_the_metrics(orchard: Orchard, page: Browser) -> None:
    for _ in range(30):
        await asyncio.to_thread(orchard.check, "t0")
    status = orchard.status()
    await page.wait_for(f"document.getElementById('hit-note').textContent.startsWith('{status['hits']} warm')")
    assert await page.evaluate("document.getElementById('hit-ratio').textContent.endsWith(' %')")
    await page.wait_for("/ms/.test(document.getElementById('warm').textContent)")
    await page.wait_for("document.querySelector('#top tbody').innerText.includes('t0')")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True), (320, False)])
async def test_it_can_be_read_on_any_screen_by_day_and_by_night(page: Browser, width: int, dark: bool) -> None:
    await page.look_like(width, 844, dark)
    await page.wait_for("document.querySelectorAll('#map div').length > 0")
    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it scrolls sideways"
    lightness = "getComputedStyle(document.body).{}.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)"
    ground, ink = [await page.evaluate(lightness.format(name)) for name in ("backgroundColor", "color")]
    assert abs(ground - ink) > 450
    assert (ground < ink) == dark


async def test_a_node_that_stops_is_said_to_and_one_that_is_back_is_too(orchard: Orchard, page: Browser) -> None:
    await page.evaluate("window.answered = fetch; window.fetch = () => Promise.reject(new Error('gone'))")
    await page.wait_for("document.getElementById('health').innerText.includes('does not answer (gone)')")
    await page.evaluate("window.fetch = window.answered")
    await page.wait_for("document.querySelector('#health.good') !== null")


def test_the_page_may_load_nothing_from_elsewhere_and_nobody_may_put_a_script_into_it(orchard: Orchard) -> None:
    for path in ("/", "/page/status.css", "/page/status.js"):
        answer = requests.get(orchard.node.admin_url + path, timeout=10)
        assert answer.status_code == 200
        assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "innerHTML" not in answer.text
    assert requests.get(f"{orchard.node.admin_url}/page/page.py", timeout=10).status_code == 404
    assert requests.get(f"{orchard.node.admin_url}/page/data?since=x", timeout=10).status_code == 400


def test_it_is_not_public(orchard: Orchard) -> None:
    for path in ("/", "/page/data", "/page/status.js"):
        assert requests.get(orchard.node.http_url + path, timeout=10).status_code == 404
