"""How a benchmark's samples become figures, verdicts and reports."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.bench.figures import Figure, at_least, at_most, differences, figure, ratios
from loadtests.bench.report import Report, number
from loadtests.bench.wrk import WrkError, read_result


def report(*figures: Figure) -> Report:
    return Report(started="2026-01-01T00:00:00+00:00", rounds=3, quick=False, measured={"warm-path": figures})


def test_a_figure_is_the_median_of_its_rounds_and_keeps_their_range() -> None:
    made = figure("p50", "µs", [90.0, 70.0, 300.0])
    assert (made.median, made.low, made.high, made.rounds) == (90.0, 70.0, 300.0, 3)
    assert made.met is None


@pytest.mark.parametrize(
    ("target", "median", "met"),
    [(at_most(80), 80.0, True), (at_most(80), 80.1, False), (at_least(0.7), 0.7, True), (at_least(0.7), 0.69, False)],
)
def test_a_target_is_met_up_to_its_limit(target: object, median: float, met: bool) -> None:
    assert figure("f", "", [median], target).met is met  # type: ignore[arg-type]


def test_a_measurement_without_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="p50: nothing was measured"):
        figure("p50", "µs", [])


def test_ratios_and_differences_pair_the_rounds() -> None:
    assert ratios([8.0, 3.0], [10.0, 4.0]) == [0.8, 0.75]
    assert differences([180.0, 250.0], [100.0, 160.0]) == [80.0, 90.0]


def test_a_missed_target_is_listed_and_shown() -> None:
    held = figure("added p50", "µs", [70.0], at_most(80))
    missed = figure("nginx / direct", "", [0.61, 0.66], at_least(0.7))
    made = report(held, missed)
    assert made.missed == [missed]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(made.table())
    shown = {line.split("  ")[0].strip(): line for line in console.export_text().splitlines()}
    assert "yes" in shown["added p50"]
    assert "NO" in shown["nginx / direct"]
    assert "0.61 .. 0.66" in shown["nginx / direct"]


def test_the_json_report_holds_every_figure_with_its_target(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "bench.json"
    report(figure("p50", "µs", [70.0, 90.0], at_most(80))).write(path)
    written = json.loads(path.read_text())
    assert written["measured"]["warm-path"] == [
        {
            "name": "p50",
            "unit": "µs",
            "median": 80.0,
            "low": 70.0,
            "high": 90.0,
            "rounds": 2,
            "target": {"side": "at most", "limit": 80},
            "met": True,
        }
    ]
    assert written["machine"]["cores"] >= 1


@pytest.mark.parametrize(
    ("value", "text"), [(0.7142, "0.71"), (38.44, "38.4"), (412.6, "413"), (14210.4, "14,210"), (-0.321, "-0.32")]
)
def test_numbers_have_as_many_digits_as_are_worth_reading(value: float, text: str) -> None:
    assert number(value) == text


def wrk_says(**changes: float) -> str:
    result = {"requests": 1000, "duration": 500_000, "p50": 100.0, "p99": 900.0, "refused": 0, "broken": 0} | changes
    return f"Running 1s test\n  1000 requests\n{json.dumps(result)}\n"


def test_wrk_times_are_read_as_seconds() -> None:
    result = read_result(wrk_says(), "http://x")
    assert (result.rate, round(result.p50, 9), round(result.p99, 9)) == (2000.0, 1e-4, 9e-4)


@pytest.mark.parametrize("fault", ["refused", "broken"])
def test_a_load_with_failed_requests_is_no_measurement(fault: str) -> None:
    with pytest.raises(WrkError, match="of 1000 requests"):
        read_result(wrk_says(**{fault: 3}), "http://x")


def test_a_load_without_requests_is_no_measurement() -> None:
    with pytest.raises(WrkError):
        read_result(wrk_says(requests=0), "http://x")
