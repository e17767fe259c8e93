"""Every objective of XGBoost is served, and as the table says."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from tests.boosters import CLASSES, compile_booster, features, train
from tools.compile.booster import describe_booster
from tools.compile.checkpoint import checkpoint_answers
from tools.compile.objectives import OBJECTIVES, Link

_DART: dict[str, Any] = {"rate_drop": 0.2}


def _objectives_of_xgboost() -> set[str]:
    with pytest.raises(xgboost.core.XGBoostError) as unknown:
        xgboost.train({"objective": "no:such"}, xgboost.DMatrix(np.zeros((2, 1)), label=[0, 1]), 1)
    return set(re.findall(r"Objective candidate: (\S+)", str(unknown.value)))


def test_the_table_has_every_objective_xgboost_has() -> None:
    # reg:linear is an alias: XGBoost saves it as reg:squarederror.
    assert _objectives_of_xgboost() - {"reg:linear"} == set(OBJECTIVES)


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_an_objective_answers_as_xgboost_does(tmp_path: Path, objective: str, booster: str) -> None:
    model = train(objective, booster=booster, **_DART if booster == "dart" else {})
    manifest = compile_booster(model, tmp_path)
    rows = features(seed=7)
    served = checkpoint_answers(tmp_path / "entry/1/checkpoint.tl", describe_booster(model), rows)
    wanted = model.predict(xgboost.DMatrix(rows))
    if objective == "binary:logistic":
        wanted = np.column_stack([1 - wanted, wanted])
    elif objective == "multi:softmax":
        served = np.argmax(served, axis=1)
    np.testing.assert_allclose(served.squeeze(), wanted, rtol=1e-6, atol=0)
    assert manifest.objective == objective


@pytest.mark.parametrize("objective", sorted(name for name in OBJECTIVES if OBJECTIVES[name].link is Link.IDENTITY))
def test_the_sums_of_a_row_are_the_same_bits_as_in_xgboost(tmp_path: Path, objective: str) -> None:
    assert compile_booster(train(objective), tmp_path).parity.max_error == 0.0


@pytest.mark.parametrize(
    ("objective", "outputs"),
    [
        ("binary:logistic", 2),
        ("binary:logitraw", 1),
        ("binary:hinge", 1),
        ("reg:logistic", 1),
        ("multi:softmax", CLASSES),
    ],
)
def test_only_objectives_with_classes_have_a_column_per_class(tmp_path: Path, objective: str, outputs: int) -> None:
    assert compile_booster(train(objective), tmp_path).outputs == outputs


def test_a_model_of_class_ids_is_served_as_probabilities_and_says_so(tmp_path: Path) -> None:
    manifest = compile_booster(train("multi:softmax"), tmp_path)
    assert manifest.notes == (
        "serves the probability of every class; the largest is the class that multi:softmax predicts",
    )
