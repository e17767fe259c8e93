"""Small boosters of every kind, trained in milliseconds."""

from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from tools.catalog.manifest import Manifest
from tools.catalog.tenant import tenant_id
from tools.compile.described import Floats
from tools.compile.entry import compile_entry
from tools.compile.request import Request

FEATURES = 6
CLASSES = 3


def features(rows: int = 300, seed: int = 0) -> Floats:
    """Normal features, a tenth of them missing: (rows, `FEATURES`)."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, FEATURES)).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    return values


def target(x: Floats) -> Floats:
    """Something to learn from `x`, around zero."""
    known = np.nan_to_num(x)
    return known[:, 0] * known[:, 1] + known[:, 2]


def train(objective: str, rounds: int = 12, **params: Any) -> xgboost.Booster:
    """A booster with labels that fit the objective."""
    settings: dict[str, Any] = {"objective": objective, "max_depth": 4, "eta": 0.4, "nthread": 1, **params}
    if objective.startswith("multi:"):
        settings["num_class"] = CLASSES
    if objective == "reg:quantileerror":
        settings.setdefault("quantile_alpha", 0.3)
    return xgboost.train(settings, matrix(objective), rounds)


def matrix(objective: str) -> xgboost.DMatrix:
    """The training rows of `objective`, with their labels."""
    x = features()
    y = target(x)
    if objective == "survival:aft":
        return xgboost.DMatrix(x, label_lower_bound=np.exp(y), label_upper_bound=np.exp(y), nthread=1)
    if objective.startswith("rank:"):
        return xgboost.DMatrix(x, label=y > 0, group=[len(x) // 3] * 3, nthread=1)
    return xgboost.DMatrix(x, label=_labels(objective, y), nthread=1)


def categorical(rounds: int = 8, **params: Any) -> xgboost.Booster:
    """A booster over one column of 12 categories, one of 3, and two of numbers."""
    random = np.random.default_rng(1)
    x = np.column_stack([random.integers(0, 12, 600), random.integers(0, 3, 600), random.normal(size=(600, 2))])
    y = np.isin(x[:, 0], [1, 4, 7, 10]) * 2.0 + (x[:, 1] == 1) + x[:, 2]
    x[random.random(x.shape) < 0.05] = np.nan
    data = xgboost.DMatrix(x, label=y, feature_types=["c", "c", "q", "q"], enable_categorical=True, nthread=1)
    return xgboost.train({"max_depth": 5, "nthread": 1, **params}, data, rounds)


def compile_booster(booster: xgboost.Booster, folder: Path, release: str = "24.10") -> Manifest:
    """Save `booster` as a file and compile it to the entry `<folder>/entry`, as version 1 of tenant m1."""
    model = folder / "model.ubj"
    booster.save_model(model)
    return compile_entry(Request(model, tenant_id("m1"), 1, release), folder / "entry")


def _labels(objective: str, y: Floats) -> NDArray[Any]:
    if objective.startswith("multi:"):
        return np.digitize(y, [-0.5, 0.5])
    if objective.startswith("binary:") or objective == "reg:logistic":
        return y > 0
    return np.exp(y) if objective.split(":")[1] in ("gamma", "tweedie", "poisson", "cox", "squaredlogerror") else y
