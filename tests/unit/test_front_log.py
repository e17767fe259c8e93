"""The front's record of calls: read as it grows, each call once."""

from pathlib import Path

import pytest
from sidecar.observability import front_log
from sidecar.observability.front_log import FrontLog
from sidecar.observability.top_tenants import TopTenants
from sidecar.observability.traffic import Start, Traffic


@pytest.fixture
def traffic() -> Traffic:
    return Traffic(TopTenants(3, lambda _: False))


@pytest.fixture
def log(tmp_path: Path, traffic: Traffic) -> FrontLog:
    log = FrontLog(tmp_path / "calls.log", traffic)
    log.open()
    return log


def append(tmp_path: Path, text: str) -> None:
    with (tmp_path / "calls.log").open("a") as file:
        file.write(text)


def calls(traffic: Traffic) -> dict[str, int]:
    return {each.tenant: each.calls for each in traffic.top.shown()}


def test_each_call_is_counted_once_as_the_file_grows(tmp_path: Path, log: FrontLog, traffic: Traffic) -> None:
    append(tmp_path, "200 0.001 - a\n200 0.001 - a\n200 0.100 disk b\n404 0.002 - zz\n")
    log.read()
    log.read()
    append(tmp_path, "200 0.003 - a\n")
    log.read()
    assert calls(traffic) == {"a": 3, "b": 1}
    assert traffic.answers == {"200": 4, "404": 1}
    assert traffic.recent(Start.WARM).quantiles == [0.001, 0.003, 0.003]
    assert traffic.recent(Start.DISK).quantiles == [0.1, 0.1, 0.1]


def test_a_line_that_is_not_whole_yet_waits_for_its_end(tmp_path: Path, log: FrontLog, traffic: Traffic) -> None:
    append(tmp_path, "200 0.001 - a\n200 0.0")
    log.read()
    assert calls(traffic) == {"a": 1}
    append(tmp_path, "01 - a\n")
    log.read()
    assert calls(traffic) == {"a": 2}


def test_the_file_is_begun_anew_before_it_is_large(
    tmp_path: Path, log: FrontLog, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_log, "_LONGEST", 1_000)
    for _ in range(10):
        append(tmp_path, "200 0.001 - a\n" * 40)
        log.read()
        assert (tmp_path / "calls.log").stat().st_size <= 1_000
    assert calls(traffic) == {"a": 400}


def test_a_refused_call_never_names_a_tenant(tmp_path: Path, log: FrontLog, traffic: Traffic) -> None:
    append(tmp_path, "400 0.001 - \n404 0.001 - made-up\n503 0.001 - made-up\n")
    log.read()
    assert calls(traffic) == {}
    assert traffic.answers == {"400": 1, "404": 1, "503": 1}


def test_a_line_that_is_none_is_passed_over(tmp_path: Path, log: FrontLog, traffic: Traffic) -> None:
    append(tmp_path, "\x00\x00\n200 x - a\n200 0.001 hot a\n200 0.001 - a\n")
    log.read()
    assert calls(traffic) == {"a": 1}
