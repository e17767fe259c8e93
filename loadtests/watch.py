"""Watches a node keep its budgets."""

import os
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from loadtests.admin import Admin
from loadtests.background import Background
from tools.catalog.manifest import MANIFEST_NAME
from tools.stack import Node

_HELD = "orchard_held_bytes"
_PAUSE_SECONDS = 0.5


class Watch(Background):
    """While entered, looks twice a second at the memory the sidecar reckons with and at the files that are on disk.

    Afterwards `most_held` and `most_on_disk` are the most bytes seen, and `entries` how many were on disk at last.
    """

    def __init__(self, node: Node) -> None:
        super().__init__("watch")
        self._admin = Admin(node.at.admin)
        self._repository = node.settings.repository
        self.most_held = 0
        self.most_on_disk = 0
        self.entries = 0

    def _work(self, _: int) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            self._look()
        self._look()

    def _look(self) -> None:
        for family in text_string_to_metric_families(self._admin.metrics()):
            if family.name == _HELD:
                self.most_held = max(self.most_held, *(int(sample.value) for sample in family.samples))
        self.entries, on_disk = _on_disk(self._repository)
        self.most_on_disk = max(self.most_on_disk, on_disk)


def _on_disk(repository: Path) -> tuple[int, int]:
    """How many entries there are, and the bytes of their files; what is being put together counts too."""
    entries, total = 0, 0
    for folder, _, files in os.walk(repository):
        entries += MANIFEST_NAME in files
        for name in files:
            if name != MANIFEST_NAME:
                try:
                    total += (Path(folder) / name).stat().st_size
                except FileNotFoundError:
                    continue
    return entries, total
