"""Figures: samples reduced to a median and a range, and the target each is held against. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach."""

    limit: float
    side: Literal["at least", "at most"]

    def met_by(self, value: float) -> bool:
        return value >= self.limit if self.side == "at least" else value <= self.limit


def at_least(limit: float) -> Target:
    return Target(limit, "at least")


def at_most(limit: float) -> Target:
    return Target(limit, "at most")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report: the median of the rounds, and the lowest and highest of them."""

    name: str
    unit: str
    median: float
    low: float
    high: float
    rounds: int
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None if there is none."""
        return None if self.target is None else self.target.met_by(self.median)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON report."""
        target = None if self.target is None else {"side": self.target.side, "limit": self.target.limit}
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "low": self.low,
            "high": self.high,
            "rounds": self.rounds,
            "target": target,
            "met": self.met,
        }


def figure(name: str, unit: str, samples: Sequence[float], target: Target | None = None) -> Figure:
    """Reduce one sample a round to a figure.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError(f"{name}: nothing was measured")
    return Figure(name, unit, statistics.median(samples), min(samples), max(samples), len(samples), target)


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round, so that a slow round of the machine slows both sides of a ratio."""
    return [high / low for high, low in zip(above, below, strict=True)]


def differences(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round, as `ratios`."""
    return [high - low for high, low in zip(above, below, strict=True)]
