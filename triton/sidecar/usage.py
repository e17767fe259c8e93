"""What the eviction policy has learnt of the tenants, kept in a file across restarts."""

import asyncio
import json
import logging
import os
from pathlib import Path

from tools.eviction.named import PolicyName
from tools.eviction.policy import EvictionPolicy

log = logging.getLogger(__name__)

_FORMAT = 1
_MOST_TENANTS = 20_000  # about 2 MB
SAVE_INTERVAL = 60.0  # seconds


class UsageFile:
    """One JSON file, replaced as a whole. A file that is missing or damaged is a fresh start, never a failure."""

    def __init__(self, path: Path, name: PolicyName, policy: EvictionPolicy) -> None:
        self._path = path
        self._name = name
        self._policy = policy

    def restore(self) -> None:
        """Take up what the last run knew; of another policy, the tenants' uses only."""
        try:
            state = json.loads(self._path.read_bytes())
            if state["format"] != _FORMAT:
                raise ValueError(f"format {state['format']!r}")
            self._policy.history.restore(state["history"])
            if state["policy"] == self._name:
                self._policy.restore(state["learnt"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s cannot be used (%r): the tenants' uses are counted anew", self._path, error)

    def save(self) -> None:
        """Write it, atomically. What cannot be written is logged."""
        self._write(self._render())

    async def run(self) -> None:
        """Save now and then until cancelled."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            await asyncio.to_thread(self._write, self._render())

    def _render(self) -> dict[str, object]:
        history = self._policy.history.to_json(_MOST_TENANTS)
        return {"format": _FORMAT, "policy": self._name, "history": history, "learnt": self._policy.to_json()}

    def _write(self, state: dict[str, object]) -> None:
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("w") as file:
                json.dump(state, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            log.warning("the tenants' uses are not saved: %s", error)
