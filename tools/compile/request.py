"""What is asked of a compile. Importing it brings in neither XGBoost nor treelite."""

from dataclasses import dataclass
from pathlib import Path

from tools.catalog.tenant import TenantId


@dataclass(frozen=True, slots=True)
class Request:
    """What to compile: the model at `source` becomes version `version` of `tenant` for Triton `release`."""

    source: Path
    tenant: TenantId
    version: int
    release: str


@dataclass(frozen=True, slots=True)
class Job:
    """A request and the folder, not there yet, that its results go to."""

    request: Request
    folder: Path

    @property
    def entry(self) -> Path:
        """The repository entry."""
        return self.folder / "entry"

    @property
    def bundle(self) -> Path:
        """The bundle of it."""
        return self.folder / "bundle"
