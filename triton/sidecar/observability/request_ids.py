"""The id of the request at hand, carried by the context: tasks begun for a request inherit it."""

import re
import uuid
from collections.abc import Mapping
from contextvars import ContextVar

HEADER = "X-Request-Id"

_USABLE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def current_request_id() -> str | None:
    """The id of the request this code runs for, or None when it runs for none."""
    return _current.get()


def adopt_request_id(headers: Mapping[str, str]) -> str:
    """Make the caller's id the current one, or a new one when it sent none that can be logged; returns it."""
    sent = headers.get(HEADER) or headers.get(HEADER.lower()) or ""
    request_id = sent if _USABLE.fullmatch(sent) else uuid.uuid4().hex
    _current.set(request_id)
    return request_id
