"""The sidecar's log: one JSON object a line, or plain lines for people."""

import json
import logging
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from sidecar.observability.events import Event
from sidecar.observability.request_ids import current_request_id


class LogFormat(Enum):
    """How log lines are written."""

    JSON = "json"
    TEXT = "text"


def configure_logging(form: LogFormat) -> None:
    """Send everything from INFO on to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form is LogFormat.JSON else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class JsonLines(logging.Formatter):
    """`time` (ISO 8601, UTC), `level`, `logger`, `message`, `request_id` if there is one; for an event its facts."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            facts = event.facts()
            line["event"] = facts.pop("kind")
            line.update((name, fact) for name, fact in facts.items() if name not in ("text", "at"))
        elif request_id := current_request_id():
            line["request_id"] = request_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """Time, level, message, and the request's id at the end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        request_id = current_request_id()
        return super().formatMessage(record) + (f" [{request_id}]" if request_id else "")
