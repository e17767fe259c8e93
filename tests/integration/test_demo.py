"""The demo and its seeding in short form: the same code on fewer merchants."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.demo.run import Demo, DemoResult, DemoSettings
from loadtests.demo.screen import Screen
from loadtests.fleets import fraud_specs, fraud_tenants, train_fleet
from loadtests.publishing import compile_all, publish_all, unpublished


@pytest.fixture(scope="module")
def shown() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, shown: io.StringIO) -> DemoResult:
    home = tmp_path_factory.mktemp("demo")
    settings = DemoSettings(fraud_tenants(1, 6, 2), requests=400, seed=2, resident=4)
    screen = Screen(Console(file=shown, width=200), steps=5)
    return Demo(settings, screen, home / "run", fleets=home / "fleets").run()


def test_every_answer_is_right(result: DemoResult) -> None:
    assert result.summary.complaints == ()
    assert result.summary.passed
    assert result.summary.requests >= 400


def test_memory_is_short_so_tenants_come_and_go(result: DemoResult) -> None:
    assert result.status["evictions"] > 0
    assert result.status["held_bytes"] <= result.status["budget_bytes"]
    assert result.summary.cold.calls > 0
    assert result.summary.warm.calls > result.summary.cold.calls
    assert result.summary.grpc.calls > 0


def test_a_merchant_joins_while_the_others_are_served(result: DemoResult, shown: io.StringIO) -> None:
    assert "meanwhile merchant-071 joined" in shown.getvalue()
    assert "40 of 40 right" in shown.getvalue()


def test_only_what_a_store_lacks_is_published_again(tmp_path: Path) -> None:
    fleet = train_fleet(fraud_specs(fraud_tenants(0, 0, 3)), tmp_path / "fleets")
    store = str(tmp_path / "store")
    first, second, third = fleet.references
    assert unpublished(fleet, store) == [first, second, third]
    publish_all(compile_all([fleet.model(first), fleet.model(third)], tmp_path / "bundles"), store)
    assert unpublished(fleet, store) == [second]
