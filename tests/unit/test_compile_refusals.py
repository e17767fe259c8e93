"""What cannot be served is refused, with a reason and what to do."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from tests.boosters import categorical, compile_booster, features, target, train
from tools.catalog.tenant import tenant_id
from tools.compile.described import describe
from tools.compile.entry import compile_entry
from tools.compile.errors import RefusedError
from tools.compile.request import Request


def _learner(**changes: str) -> dict[str, Any]:
    params = {"num_feature": "6", "num_class": "0", "num_target": "1", "base_score": "[5E-1]"}
    return {
        "objective": {"name": changes.pop("objective", "reg:squarederror")},
        "gradient_booster": {"name": changes.pop("booster", "gbtree")},
        "learner_model_param": params | changes,
    }


def _compile(model: bytes, folder: Path) -> None:
    (folder / "model.json").write_bytes(model)
    compile_entry(Request(folder / "model.json", tenant_id("m1"), 1, "24.10"), folder / "entry")


def _damaged(booster: xgboost.Booster, field: str, value: Any, tree: int = 0, node: int = 0) -> bytes:
    model = json.loads(booster.save_raw("json"))
    model["learner"]["gradient_booster"]["model"]["trees"][tree][field][node] = value
    return json.dumps(model).encode()


def test_a_linear_booster_is_refused(tmp_path: Path) -> None:
    x = features()
    booster = xgboost.train({"booster": "gblinear"}, xgboost.DMatrix(x, label=target(x)), 3)
    with pytest.raises(RefusedError, match=r"'gblinear', which has no trees: train it with booster='gbtree'"):
        compile_booster(booster, tmp_path)


@pytest.mark.parametrize("strategy", ["multi_output_tree", "one_output_per_tree"])
def test_several_targets_are_refused(tmp_path: Path, strategy: str) -> None:
    x = features()
    data = xgboost.DMatrix(x, label=np.column_stack([target(x), target(x) * 2]))
    booster = xgboost.train({"multi_strategy": strategy, "tree_method": "hist"}, data, 2)
    with pytest.raises(RefusedError, match=r"predicts 2 targets at once.*one model per target"):
        compile_booster(booster, tmp_path)


def test_several_quantiles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"one model per target .per quantile"):
        compile_booster(train("reg:quantileerror", quantile_alpha=[0.1, 0.9]), tmp_path)


def test_trees_with_a_vector_per_leaf_are_refused(tmp_path: Path) -> None:
    booster = train("multi:softprob", multi_strategy="multi_output_tree", tree_method="hist")
    with pytest.raises(RefusedError, match="multi_strategy='one_output_per_tree'"):
        compile_booster(booster, tmp_path)


def test_a_model_without_trees_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no trees"):
        compile_booster(train("reg:squarederror", rounds=0), tmp_path)


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(RefusedError, match="'reg:new' is unknown here; known are binary:hinge, "):
        describe(_learner(objective="reg:new"), {}, 1)


def test_a_multi_class_objective_of_one_class_is_refused() -> None:
    with pytest.raises(RefusedError, match="1 class"):
        describe(_learner(objective="multi:softprob", num_class="1"), {}, 1)


def test_classes_without_a_multi_class_objective_are_refused() -> None:
    with pytest.raises(RefusedError, match="3 class"):
        describe(_learner(num_class="3"), {}, 1)


def test_a_best_iteration_that_is_no_number_is_refused() -> None:
    with pytest.raises(RefusedError, match="best_iteration is 'soon'"):
        describe(_learner(), {"best_iteration": "soon"}, 5)


def test_base_scores_that_do_not_fit_the_classes_are_refused() -> None:
    with pytest.raises(RefusedError, match="2 base scores for 1"):
        describe(_learner(base_score="[1E0,2E0]"), {}, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_children", 10_000), ("left_children", 0), ("split_indices", 6), ("split_indices", -1)],
    ids=["child outside", "child is the root", "feature outside", "negative feature"],
)
def test_a_damaged_tree_is_refused(tmp_path: Path, field: str, value: int) -> None:
    with pytest.raises(RefusedError):
        _compile(_damaged(train("reg:squarederror"), field, value), tmp_path)


def test_a_node_with_two_parents_is_refused(tmp_path: Path) -> None:
    booster = train("reg:squarederror")
    with pytest.raises(RefusedError):
        _compile(_damaged(booster, "left_children", 2), tmp_path)


def test_categories_out_of_bounds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        _compile(_damaged(categorical(), "categories_sizes", 0), tmp_path)


def test_a_model_xgboost_cannot_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"XGBoost \S+ cannot read the model: \S"):
        _compile(b'{"learner": 1}', tmp_path)
