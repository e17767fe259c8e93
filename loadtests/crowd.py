"""Small models by the thousand, made in seconds, and no two of them with the same answers.

A few regressions are trained. Each tenant gets one of them with an intercept of its own, so an answer tells whose
model gave it, and of which version.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xgboost

from loadtests.fraud_data import Floats
from loadtests.models import Reference
from tools.catalog.tenant import TenantId

SHAPES = 24
TREES, DEPTH, FEATURES, ROWS = 20, 5, 12, 16
# Far enough from zero for an error relative to the answer to mean something.
_LOWEST_INTERCEPT = 1_000
_TRAINED_INTERCEPT = '"base_score":"[2.5E-1]"'


class Crowd:
    """Any number of models, told apart by their numbers. `rows`, of shape (`ROWS`, `FEATURES`), suit all of them."""

    def __init__(self, shapes: int = SHAPES, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.rows: Floats = draw.normal(size=(ROWS, FEATURES)).astype(np.float32)
        self._texts = [_train(draw) for _ in range(shapes)]

    def text(self, number: int) -> str:
        """Model `number`, as XGBoost's JSON."""
        text = self._texts[number % len(self._texts)]
        return text.replace(_TRAINED_INTERCEPT, f'"base_score":"[{_LOWEST_INTERCEPT + number}]"')

    def reference(self, number: int) -> Reference:
        """What XGBoost itself answers with model `number`."""
        booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(self.text(number).encode()))
        return Reference(self.rows, np.asarray(booster.inplace_predict(self.rows), np.float32))

    def write(
        self,
        folder: Path,
        numbers: Sequence[int],
        name: Callable[[int], TenantId],
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        """Write models as `<tenant>.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (folder / f"{name(number)}.json").write_text(self.text(number))
            on_written()


def _train(draw: np.random.Generator) -> str:
    features = draw.normal(size=(300, FEATURES)).astype(np.float32)
    target = features[:, 0] * features[:, 1] + features[:, 2] + draw.normal(size=300)
    parameters = {"objective": "reg:squarederror", "max_depth": DEPTH, "nthread": 1, "base_score": 0.25}
    booster = xgboost.train(parameters, xgboost.DMatrix(features, target), TREES)
    text = bytes(booster.save_raw("json")).decode()
    assert _TRAINED_INTERCEPT in text, "XGBoost writes the base score in another way now"
    return text
