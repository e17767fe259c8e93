"""What the eviction policy has learnt of the tenants, kept in a file across restarts."""

import asyncio
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from sidecar.json_file import write_json
from tools.eviction.named import PolicyName
from tools.eviction.policy import EvictionPolicy

log = logging.getLogger(__name__)

_FORMAT = 1
_MOST_TENANTS = 20_000  # about 2 MB
SAVE_INTERVAL = 30.0  # seconds


class Counts(Protocol):
    """How far the uses are counted, so that the next run counts those after the last save."""

    def to_json(self) -> list[list[Any]]: ...

    def restore(self, state: list[list[Any]]) -> None: ...


class UsageFile:
    """One JSON file, replaced as a whole. A file that is missing or damaged is a fresh start, never a failure."""

    def __init__(self, path: Path, name: PolicyName, policy: EvictionPolicy, counts: Counts) -> None:
        self._path = path
        self._name = name
        self._policy = policy
        self._counts = counts
        self._hurry = asyncio.Event()

    def restore(self) -> None:
        """Take up what the last run knew; of another policy, the tenants' uses only."""
        try:
            state = json.loads(self._path.read_bytes())
            if state["format"] != _FORMAT:
                raise ValueError(f"format {state['format']!r}")
            self._policy.history.restore(state["history"])
            if state["policy"] == self._name:
                self._policy.restore(state["learnt"])
            self._counts.restore(state["counted"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s cannot be used (%r): the tenants' uses are counted anew", self._path, error)

    def save(self) -> None:
        """Write it, atomically. What cannot be written is logged."""
        self._write(self._render())

    def save_soon(self) -> None:
        """Have `run` save at once: Triton's counts, which tell of the uses since the last save, are gone."""
        self._hurry.set()

    async def run(self) -> None:
        """Save now and then, and when it is urgent, until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), SAVE_INTERVAL)
            self._hurry.clear()
            await asyncio.to_thread(self._write, self._render())

    def _render(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "policy": self._name,
            "history": self._policy.history.to_json(_MOST_TENANTS),
            "learnt": self._policy.to_json(),
            "counted": self._counts.to_json(),
        }

    def _write(self, state: dict[str, Any]) -> None:
        try:
            write_json(self._path, state)
        except OSError as error:
            log.warning("the tenants' uses are not saved: %s", error)
