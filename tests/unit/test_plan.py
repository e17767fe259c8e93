"""`orchard plan`: what is read, what is reckoned, and what is said."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tools.cli import app
from tools.compile.size import resident_bytes
from tools.eviction.history import History
from tools.eviction.simple import LeastRecentlyUsed
from tools.plan import che
from tools.plan.curve import Curve, Point
from tools.plan.fleet import without, worth_pinning
from tools.plan.prices import EXAMPLE, BadPricesError, read_prices
from tools.plan.read import BadTrafficError, parse_class, read_calls, read_sizes
from tools.plan.replay import replay
from tools.plan.trace import TenantClass, class_sizes, independent, rates, sessions

MIXED = (TenantClass(40, 0.60, 5), TenantClass(120, 0.25, 2), TenantClass(160, 0.15, 1))
SMALL = ["20:60%", "60:25%", "80:15%"]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_che_s_approximation_is_near_the_replay_of_independent_calls(share: float) -> None:
    trace = independent(MIXED, 15_000, 1)
    budget = int(share * trace.sizes.sum())
    approximate = che.hit_ratio(che.Traffic(rates(MIXED), class_sizes(MIXED)), budget)
    assert replay(trace, budget, LeastRecentlyUsed(History()), 5_000).hit_ratio == pytest.approx(approximate, abs=0.02)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_che_s_approximation_is_near_the_replay_of_sessions(share: float) -> None:
    trace = sessions(MIXED, 15_000, 1, at_once=4)
    budget = int(share * trace.sizes.sum())
    approximate = che.hit_ratio(che.Traffic(rates(MIXED), class_sizes(MIXED), length=5, gap=5), budget)
    assert replay(trace, budget, LeastRecentlyUsed(History()), 5_000).hit_ratio == pytest.approx(approximate, abs=0.03)


def test_che_s_approximation_is_1_when_everything_fits() -> None:
    assert che.hit_ratio(che.Traffic(rates(MIXED), class_sizes(MIXED)), 10**9) == 1.0


def test_sessions_are_as_long_and_as_many_as_asked() -> None:
    trace = sessions((TenantClass(1_000_000, 1.0),), 20_000, 3, length=5, at_once=40)
    assert len(trace.calls) == 20_000
    lengths = np.unique(trace.calls, return_counts=True)[1]
    assert lengths.mean() == pytest.approx(5, rel=0.15)
    first: dict[int, list[int]] = {}
    for call, tenant in enumerate(trace.calls.tolist()):
        first.setdefault(tenant, []).append(call)
    open_calls = sum(calls[-1] - calls[0] for calls in first.values())
    assert open_calls / len(trace.calls) == pytest.approx(40, rel=0.15)


def test_a_csv_of_calls_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("time,tenant,bytes\n2026-07-01T00:00:10+00:00,b,2MB\n2026-07-01T00:00:00+00:00,a,\n")
    trace = read_calls(file, 1_000_000, {})
    assert trace.tenants == ("a", "b")
    assert trace.sizes.tolist() == [resident_bytes(1_000_000), resident_bytes(2_000_000)]
    assert trace.seconds == 10


def test_of_an_access_log_the_inferences_that_were_answered_count(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    start = "2026-07-01T00:00:0"
    file.write_text(
        f"{start}0+00:00 200 POST /v2/models/a/infer 0.001 127.0.0.1:1 0.001 x\n"
        f"{start}1+00:00 200 POST /v2/models/b/versions/3/infer 0.001 127.0.0.1:1, 127.0.0.1:2 0.001 x\n"
        f"{start}2+00:00 404 POST /v2/models/c/infer 0.001 127.0.0.1:1 0.001 x\n"
        f"{start}3+00:00 200 GET /v2/models/a 0.001 127.0.0.1:1 0.001 x\n"
    )
    trace = read_calls(file, 1_000_000, {"a": 7})  # type: ignore[dict-item]
    assert [trace.tenants[tenant] for tenant in trace.calls] == ["a", "b"]
    assert trace.sizes.tolist() == [7, resident_bytes(1_000_000)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "holds no calls"),
        ("hello\n", "holds no calls"),
        ("time,tenant\nnoon,a\n", "line 2"),
        ("time,tenant\n1,UPPER\n", "line 2"),
        ("time,tenant,bytes\n1,a,heavy\n", "'heavy' is not a size"),
    ],
)
def test_traffic_that_cannot_be_read_is_refused_with_the_place_and_the_form(
    tmp_path: Path, content: str, complaint: str
) -> None:
    file = tmp_path / "calls.csv"
    file.write_text(content)
    with pytest.raises(BadTrafficError, match=complaint):
        read_calls(file, 1, {})


def test_sizes_come_from_a_csv_of_checkpoints(tmp_path: Path) -> None:
    file = tmp_path / "sizes.csv"
    file.write_text("tenant,bytes\na,45MB\n")
    assert read_sizes(file) == {"a": resident_bytes(45_000_000)}


@pytest.mark.parametrize("text", ["0:60%", "5:60", "5:60%:heavy", "x"])
def test_a_class_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadTrafficError):
        parse_class(text, 1)


def test_the_memory_for_a_target_lies_between_the_points_around_it() -> None:
    points = [Point("lru", memory, ratio, ratio, 0, p95) for memory, ratio, p95 in ((10, 0.5, 90), (20, 0.9, 5))]
    curve = Curve(tuple(points))
    assert curve.memory_for_hit_ratio(0.7) == 15
    assert curve.memory_for_hit_ratio(0.4) == 10
    assert curve.memory_for_hit_ratio(0.95) is None
    assert curve.memory_for_p95(50) == 20
    assert curve.memory_for_p95(1) is None


def test_who_is_always_resident_anyway_is_worth_pinning() -> None:
    classes = (TenantClass(1, 0.8), TenantClass(50, 0.2))
    result = replay(independent(classes, 5_000, 1), 5, LeastRecentlyUsed(History()), 1_000)
    assert worth_pinning(result).tolist() == [0]


def test_a_trace_without_some_tenants_keeps_the_others_calls() -> None:
    trace = independent(MIXED, 1_000, 1)
    rest = without(trace, np.arange(40))
    assert rest.tenants == trace.tenants[40:]
    assert [rest.tenants[call] for call in rest.calls] == [trace.tenants[call] for call in trace.calls if call >= 40]


def test_an_edited_price_list_is_used_and_a_bad_one_names_its_entry(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(re.sub(r"per_hour = 0\.40", "per_hour = 9.5", EXAMPLE.read_text()))
    prices = read_prices(file)
    assert prices.shared.per_hour == 9.5
    assert not prices.is_example
    file.write_text(EXAMPLE.read_text().replace("warm_ms", "warmth"))
    with pytest.raises(BadPricesError, match="'warm_ms'"):
        read_prices(file)


def test_the_command_plans_and_draws(tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    options = ["--calls", "3000", "--size", "45MB", "--jobs", "1", "--memory", "2GB", "--memory", "10GB"]
    result = CliRunner().invoke(app, ["plan", *SMALL, *options, "--chart", str(page), "--json"])
    assert result.exit_code == 0, result.output
    plan = json.loads(result.stdout)
    low, high = plan["curves"]["return-rate"]
    assert low["hit_ratio"] < 0.9 < high["hit_ratio"]
    assert low["memory"] < plan["memory"] < high["memory"]
    assert plan["prices_are_examples"]
    assert [fleet["name"] for fleet in plan["fleets"]] == ["dedicated", "shared", "mixed"]
    html = page.read_text()
    assert "<svg" in html
    assert not re.search(r"(src|href)=|url\(|@import", html), "the page loads nothing"


def test_the_command_compares_policies_with_the_optimum() -> None:
    options = ["--calls", "3000", "--jobs", "1", "--memory", "2GB", "--policies", "--json", "--target-hit-ratio", "0.1"]
    result = CliRunner().invoke(app, ["plan", *SMALL, *options])
    assert result.exit_code == 0, result.output
    curves = {name: points[0]["hit_ratio"] for name, points in json.loads(result.stdout)["curves"].items()}
    assert set(curves) == {"return-rate", "lru", "lfu", "sieve", "optimum"}
    assert max(curves, key=lambda name: curves[name]) == "optimum"


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["missing.csv"], 2, "missing.csv cannot be read"),
        (["50:60%", "50:60%"], 2, "add up to 120%"),
        (["50:60%", "calls.csv"], 2, "give one file, or classes"),
        ([*SMALL, "--size", "big"], 2, "'big' is not a size"),
        ([*SMALL, "--prices", "missing.toml"], 2, "missing.toml cannot be used"),
    ],
)
def test_what_cannot_be_planned_is_said_in_a_line(arguments: list[str], status: int, complaint: str) -> None:
    result = CliRunner().invoke(app, ["plan", *arguments])
    assert result.exit_code == status
    assert complaint in result.output
    assert len(result.output.strip().splitlines()) == 1
