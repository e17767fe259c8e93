"""What is in a booster, but for its trees. Pure: it works on what XGBoost says of the booster, decoded.

`Booster.save_config()`, which XGBoost writes itself, holds everything here; the trees are read from treelite
(`forest.py`).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.compile.errors import RefusedError
from tools.compile.objectives import Link, Serving, serving_of

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Described:
    """A booster without its trees.

    `groups` is the number of sums a row has: the classes of a multi-class model, otherwise 1. `base_score` has one
    number per group, as XGBoost stores it, before the link. `rounds` are all there are, `served_rounds` those that
    answer: fewer after an early stop.
    """

    objective: str
    serving: Serving
    features: int
    groups: int
    base_score: tuple[float, ...]
    rounds: int
    served_rounds: int

    @property
    def outputs(self) -> int:
        """The length of one row of the answer."""
        return 2 if self.serving.classifier and self.groups == 1 else self.groups

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the model should know, in sentences."""
        notes = []
        if self.served_rounds < self.rounds:
            notes.append(
                f"serves the first {self.served_rounds} of {self.rounds} rounds: training stopped early, and "
                f"iteration {self.served_rounds - 1} was the best"
            )
        if self.serving.note is not None:
            notes.append(self.serving.note)
        return tuple(notes)


def describe(learner: Mapping[str, Any], attributes: Mapping[str, str | None], rounds: int) -> Described:
    """Describe a booster from the `learner` of its decoded configuration, its attributes and its number of rounds.

    Raises:
        RefusedError: it cannot be served. The message says why and what to do.
    """
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    if kind not in ("gbtree", "dart"):
        raise RefusedError(f"the booster is {kind!r}, which has no trees: train it with booster='gbtree'")
    serving = serving_of(objective)
    params = learner["learner_model_param"]
    features, classes, targets = (int(params[name]) for name in ("num_feature", "num_class", "num_target"))
    if targets != 1:
        raise RefusedError(
            f"the model predicts {targets} targets at once, which FIL cannot: train one model per target "
            "(per quantile, if it is reg:quantileerror)"
        )
    groups = max(classes, 1)
    if (serving.link is Link.SOFTMAX) != (groups > 1):
        raise RefusedError(f"{objective} with {groups} class(es) is not a model FIL can serve: retrain it")
    if features < 1:
        raise RefusedError("the model has no features")
    if rounds < 1:
        raise RefusedError("the model has no trees: it was saved before it was trained")
    return Described(
        objective=objective,
        serving=serving,
        features=features,
        groups=groups,
        base_score=_base_score(params["base_score"], groups),
        rounds=rounds,
        served_rounds=_served_rounds(attributes, rounds),
    )


def base_margins(described: Described) -> Floats:
    """What a row's sums start from, one per group, in the very float32 steps XGBoost takes (`ProbToMargin`)."""
    scores = [np.float32(score) for score in described.base_score]
    try:
        return np.array([_margin(score, described.serving.link) for score in scores], np.float32)
    except (ValueError, ZeroDivisionError):
        raise RefusedError(f"the base_score {scores} has no margin under {described.objective}") from None


def _base_score(text: str, groups: int) -> tuple[float, ...]:
    # A number up to XGBoost 3.0, a JSON array from 3.1.
    scores = json.loads(text)
    scores = [float(score) for score in (scores if isinstance(scores, list) else [scores])]
    if len(scores) not in (1, groups):
        raise RefusedError(f"the model has {len(scores)} base scores for {groups} group(s): the file is damaged")
    return tuple(scores * (groups // len(scores)))


def _served_rounds(attributes: Mapping[str, str | None], rounds: int) -> int:
    best = attributes.get("best_iteration")
    if best is None:
        return rounds
    if not best.isdecimal():
        raise RefusedError(f"the model's best_iteration is {best[:40]!r}, not a round: save it again")
    # A model cut with save_best, or by slicing, keeps the attribute of the longer one.
    return min(int(best) + 1, rounds)


def _margin(score: np.float32, link: Link) -> np.float32:
    one = np.float32(1)
    if link is Link.SIGMOID:
        with np.errstate(divide="ignore"):
            return np.float32(-math.log(one / score - one))
    if link is Link.EXPONENTIAL:
        return np.float32(math.log(score))
    return score
