"""The journal of events, and the lines they make in the log."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from sidecar.errors import BusyError, LoadFailedError
from sidecar.observability.events import Cause, Journal, Kind
from sidecar.observability.logs import JsonLines, TextLines
from sidecar.observability.request_ids import adopt_request_id

from tools.catalog.tenant import TenantId

A, B = TenantId("a"), TenantId("b")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger("sidecar")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield stream
    root.removeHandler(handler)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_facts(stream: io.StringIO) -> None:
    adopt_request_id({"X-Request-Id": "order-1"})
    Journal().loaded(A, 7, "disk", 0.25)
    (line,) = lines(stream)
    facts = {name: line[name] for name in ("event", "tenant", "version", "cause", "seconds", "request_id", "level")}
    assert facts == {
        "event": "loaded",
        "tenant": "a",
        "version": 7,
        "cause": "new",
        "seconds": 0.25,
        "request_id": "order-1",
        "level": "info",
    }


@pytest.mark.parametrize("cause", [Cause.EVICTED, Cause.LOST, Cause.DELETED])
def test_a_cold_start_is_put_down_to_the_last_departure(cause: Cause) -> None:
    journal = Journal()
    journal.loaded(A, 1, "fetch", 0.1)
    journal.departed(A, cause, "a left")
    journal.loaded(A, 1, "disk", 0.1)
    journal.loaded(B, 1, "fetch", 0.1)
    assert journal.counts == {
        (Kind.LOADED, Cause.NEW): 2,
        (Kind.DEPARTED, cause): 1,
        (Kind.LOADED, cause): 1,
    }


def test_only_a_model_at_fault_is_quarantined_and_a_load_releases_it() -> None:
    journal = Journal()
    journal.load_failed(A, BusyError("later"))
    journal.load_failed(B, LoadFailedError("damaged"))
    assert journal.refused == {B: "damaged"}
    journal.loaded(B, 2, "fetch", 0.1)
    assert journal.refused == {}


def test_readers_get_what_is_new_to_them() -> None:
    journal = Journal()
    for number in range(5):
        journal.adopted(TenantId(f"t{number}"), 1)
    seen, events = journal.since(3)
    assert (seen, [event.tenant for event in events]) == (5, ["t3", "t4"])
    assert journal.since(5) == (5, [])
    # A reader of another life of the sidecar, which had more of them.
    assert journal.since(900) == (5, [])


def test_a_reader_far_behind_gets_the_latest() -> None:
    journal = Journal()
    for number in range(1_000):
        journal.adopted(TenantId(f"t{number}"), 1)
    seen, events = journal.since(0)
    assert (seen, len(events), events[-1].tenant) == (1_000, 200, "t999")


def test_a_fault_is_logged_with_its_traceback_on_the_same_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("sidecar").exception("a fault")
    (line,) = lines(stream)
    assert "ValueError: odd" in line["exception"]


def test_lines_for_people_end_with_the_request() -> None:
    adopt_request_id({"x-request-id": "order-2"})
    record = logging.LogRecord("sidecar", logging.INFO, "file", 1, "%s left", ("a",), None)
    assert TextLines().format(record).endswith("INFO sidecar: a left [order-2]")


@pytest.mark.parametrize("sent", ["", "a b", 'a"b', "x" * 129, "line\nbreak"])
def test_an_id_that_cannot_be_logged_is_replaced(sent: str) -> None:
    assert len(adopt_request_id({"X-Request-Id": sent})) == 32
