"""How each objective of XGBoost is served.

XGBoost's `PredTransform` of each objective and treelite's postprocessors are the source of the links; the outputs
are those NVIDIA's FIL backend gives for them. The proof of every compile holds the table to the real XGBoost.
"""

from dataclasses import dataclass
from enum import Enum

from tools.compile.errors import RefusedError


class Link(Enum):
    """What turns the sum of the leaves into the answer. The value is treelite's name of it."""

    IDENTITY = "identity"
    SIGMOID = "sigmoid"
    EXPONENTIAL = "exponential"
    HINGE = "hinge"
    SOFTMAX = "softmax"


class Measure(Enum):
    """How an error of an answer is counted. The value is what the manifest says."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


@dataclass(frozen=True, slots=True)
class Serving:
    """How an objective is served.

    A classifier answers one probability per class, two for a binary one: P(class 0), P(class 1). Everything else
    answers one number per row, the one `Booster.predict` gives.
    """

    link: Link
    classifier: bool = False
    measure: Measure = Measure.RELATIVE
    note: str | None = None


_VALUE = Serving(Link.IDENTITY)
_EXPONENTIAL = Serving(Link.EXPONENTIAL)

OBJECTIVES = {
    "reg:squarederror": _VALUE,
    "reg:squaredlogerror": _VALUE,
    "reg:pseudohubererror": _VALUE,
    "reg:absoluteerror": _VALUE,
    "reg:quantileerror": _VALUE,
    "reg:logistic": Serving(Link.SIGMOID, measure=Measure.ABSOLUTE),
    "reg:gamma": _EXPONENTIAL,
    "reg:tweedie": _EXPONENTIAL,
    "count:poisson": _EXPONENTIAL,
    "survival:cox": _EXPONENTIAL,
    "survival:aft": _EXPONENTIAL,
    "rank:pairwise": _VALUE,
    "rank:ndcg": _VALUE,
    "rank:map": _VALUE,
    "binary:logistic": Serving(Link.SIGMOID, classifier=True, measure=Measure.ABSOLUTE),
    # One column each: neither has a probability, so "1 - answer" beside it would mean nothing.
    "binary:logitraw": Serving(Link.IDENTITY, note="serves the margin before the sigmoid, as binary:logitraw does"),
    "binary:hinge": Serving(
        Link.HINGE, measure=Measure.ABSOLUTE, note="serves 0 or 1: binary:hinge has no probability"
    ),
    "multi:softprob": Serving(Link.SOFTMAX, classifier=True, measure=Measure.ABSOLUTE),
    "multi:softmax": Serving(
        Link.SOFTMAX,
        classifier=True,
        measure=Measure.ABSOLUTE,
        note="serves the probability of every class; the largest is the class that multi:softmax predicts",
    ),
}


def serving_of(objective: str) -> Serving:
    """How `objective` is served.

    Raises:
        RefusedError: it is none that XGBoost 3.2 has for trees.
    """
    try:
        return OBJECTIVES[objective]
    except KeyError:
        raise RefusedError(
            f"the objective {objective[:100]!r} is unknown here; known are {', '.join(sorted(OBJECTIVES))}"
        ) from None
