"""Boosters of every make: forests, early stops, categories, pruned and empty trees."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treelite
import xgboost

from tests.boosters import CLASSES, categorical, compile_booster, features, matrix, target, train
from tools.catalog.tenant import tenant_id
from tools.compile.booster import describe_booster, open_booster
from tools.compile.checkpoint import checkpoint_answers, convert
from tools.compile.described import Floats
from tools.compile.entry import compile_entry
from tools.compile.forest import CATEGORICAL, LEAF
from tools.compile.request import Request


def _answers(folder: Path, booster: xgboost.Booster, rows: Floats) -> Floats:
    return checkpoint_answers(folder / "entry/1/checkpoint.tl", describe_booster(booster), rows)


def _early_stopped(**params: Any) -> xgboost.Booster:
    x = features(seed=3)
    noisy = xgboost.DMatrix(x, label=target(x) + np.random.default_rng(0).normal(size=len(x)) * 2)
    settings = {"eta": 0.5, "nthread": 1, **params}
    return xgboost.train(
        settings, matrix("reg:squarederror"), 60, evals=[(noisy, "noisy")], early_stopping_rounds=4, verbose_eval=False
    )


def test_a_forest_is_served(tmp_path: Path) -> None:
    booster = train("reg:squarederror", rounds=3, num_parallel_tree=4, subsample=0.5)
    assert compile_booster(booster, tmp_path).trees == 12


def test_the_trees_of_a_multi_class_forest_are_dealt_out_as_fil_wants_them(tmp_path: Path) -> None:
    booster = train("multi:softprob", rounds=2, num_parallel_tree=3, subsample=0.5)
    compile_booster(booster, tmp_path)
    checkpoint = treelite.Model.deserialize(tmp_path / "entry/1/checkpoint.tl")
    class_of_tree = checkpoint.get_header_accessor().get_field("class_id")
    assert list(class_of_tree) == [index % CLASSES for index in range(2 * 3 * CLASSES)]


@pytest.mark.parametrize(
    "params", [{}, {"booster": "dart", "rate_drop": 0.2}, {"num_parallel_tree": 2, "subsample": 0.5}]
)
def test_an_early_stopped_model_serves_its_best_iteration_and_says_so(tmp_path: Path, params: dict[str, Any]) -> None:
    booster = _early_stopped(**params)
    best, rounds = booster.best_iteration, booster.num_boosted_rounds()
    assert best + 1 < rounds
    manifest = compile_booster(booster, tmp_path)
    assert manifest.trees == (best + 1) * params.get("num_parallel_tree", 1)
    assert manifest.notes[0].startswith(f"serves the first {best + 1} of {rounds} rounds")
    estimator = xgboost.XGBRegressor()
    estimator.load_model(tmp_path / "model.ubj")
    rows = features(seed=9)
    # Not equal: on DART, XGBoost's estimators and Booster.predict themselves differ in the last bit.
    np.testing.assert_allclose(_answers(tmp_path, booster, rows)[:, 0], estimator.predict(rows), atol=1e-6)


def test_a_model_cut_to_its_best_iteration_is_served_whole(tmp_path: Path) -> None:
    booster = _early_stopped()
    cut = booster[: booster.best_iteration + 1]
    manifest = compile_booster(cut, tmp_path)
    assert manifest.trees == booster.best_iteration + 1
    assert manifest.notes == ()


@pytest.mark.parametrize("max_cat_to_onehot", [100, 1], ids=["one-hot", "partition"])
def test_categorical_splits_are_served(tmp_path: Path, max_cat_to_onehot: int) -> None:
    booster = categorical(max_cat_to_onehot=max_cat_to_onehot)
    compile_booster(booster, tmp_path)
    categories = np.array([*range(12), 500, np.nan], np.float32)
    rows = np.column_stack([categories, *np.full((3, len(categories)), 1.0)]).astype(np.float32)
    wanted = booster.predict(xgboost.DMatrix(rows), validate_features=False)
    assert len(np.unique(wanted)) > 2
    np.testing.assert_array_equal(_answers(tmp_path, booster, rows)[:, 0], wanted)


def test_pruned_nodes_are_not_written(tmp_path: Path) -> None:
    booster = train("reg:squarederror", tree_method="exact", gamma=5)
    pruned = [tree["tree_param"]["num_deleted"] for tree in _trees(booster)]
    assert any(int(count) for count in pruned)
    compile_booster(booster, tmp_path)
    checkpoint = treelite.Model.deserialize(tmp_path / "entry/1/checkpoint.tl")
    for index in range(checkpoint.num_tree):
        left = checkpoint.get_tree_accessor(index).get_field("cleft")
        assert len(left) == 1 + 2 * int(np.sum(left >= 0))


def test_a_tree_of_one_leaf_is_written_as_a_split(tmp_path: Path) -> None:
    booster = train("reg:squarederror", gamma=1e9, base_score=2.0)
    compile_booster(booster, tmp_path)
    checkpoint = treelite.Model.deserialize(tmp_path / "entry/1/checkpoint.tl")
    assert list(checkpoint.get_tree_accessor(0).get_field("node_type")) == [1, LEAF, LEAF]
    rows = features()
    np.testing.assert_array_equal(_answers(tmp_path, booster, rows)[:, 0], booster.predict(xgboost.DMatrix(rows)))


def test_a_checkpoint_holds_no_statistics_of_the_training(tmp_path: Path) -> None:
    compile_booster(train("reg:squarederror"), tmp_path)
    tree = treelite.Model.deserialize(tmp_path / "entry/1/checkpoint.tl").get_tree_accessor(0)
    assert [len(tree.get_field(name)) for name in ("gain", "sum_hess", "data_count")] == [0, 0, 0]


@pytest.mark.parametrize("base_score", [0.01, 0.5, 0.987654])
def test_a_given_base_score_is_served(tmp_path: Path, base_score: float) -> None:
    assert compile_booster(train("binary:logistic", base_score=base_score), tmp_path).parity.max_error < 1e-6


def test_a_large_mean_costs_no_precision(tmp_path: Path) -> None:
    x = features()
    data = xgboost.DMatrix(x, label=200_000 + 20_000 * target(x))
    booster = xgboost.train({"nthread": 1}, data, 100)
    assert compile_booster(booster, tmp_path).parity.max_error == 0.0


def test_names_and_types_of_features_do_not_matter(tmp_path: Path) -> None:
    x = features()
    data = xgboost.DMatrix(x, label=target(x), feature_names=[f"column {n}" for n in range(6)], feature_types=["q"] * 6)
    assert compile_booster(xgboost.train({"nthread": 1}, data, 5), tmp_path).features == 6


def test_json_and_ubjson_of_a_model_make_the_same_checkpoint() -> None:
    booster = train("binary:logistic")
    made = []
    for form in ("json", "ubj"):
        opened = open_booster(bytes(booster.save_raw(form)))
        made.append(convert(opened, describe_booster(opened)).model.serialize_bytes())
    assert made[0] == made[1]


def test_categories_are_found_in_the_forest() -> None:
    booster = categorical()
    forest = convert(booster, describe_booster(booster)).forest
    assert any(np.any(tree.node_type == CATEGORICAL) for tree in forest)


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_the_category_names_of_a_data_frame_become_codes_and_a_note(tmp_path: Path, booster: str) -> None:
    document = json.loads(categorical(booster=booster).save_raw("json"))
    gradient_booster = document["learner"]["gradient_booster"]
    # What XGBoost writes for columns of strings, of integers, and two of numbers.
    text = "".join("abcdefghijkl").encode()
    gradient_booster.get("gbtree", gradient_booster)["model"]["cats"] = {
        "enc": [
            {"offsets": list(range(13)), "values": list(text)},
            {"type": 15, "values": [10, 20, 30]},
            {"offsets": [], "values": []},
            {"offsets": [], "values": []},
        ],
        "feature_segments": [0, 12, 15, 15, 15],
        "sorted_idx": [*range(12), *range(3)],
    }
    manifest = compile_booster(open_booster(json.dumps(document).encode()), tmp_path)
    assert manifest.notes == (
        "feature '0' is a category, asked for by its code: "
        + ", ".join(f"{code} for {name}" for code, name in enumerate("abcdefghijkl")),
        "feature '1' is a category, asked for by its code: 0 for 10, 1 for 20, 2 for 30",
    )


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob", "reg:squarederror", "count:poisson"])
def test_a_model_saved_by_an_older_xgboost_is_served(tmp_path: Path, objective: str) -> None:
    document = json.loads(train(objective).save_raw("json"))
    document["version"] = [1, 7, 6]
    # One number for all classes, until XGBoost 3.1.
    document["learner"]["learner_model_param"]["base_score"] = "2.5E-1"
    del document["learner"]["gradient_booster"]["model"]["cats"]
    (tmp_path / "old").mkdir()
    old = tmp_path / "old/xgboost-model"
    old.write_text(json.dumps(document))
    manifest = compile_entry(Request(old, tenant_id("m1"), 1, "24.10"), tmp_path / "entry")
    assert manifest.parity.max_error < 1e-6


def _trees(booster: xgboost.Booster) -> list[dict[str, Any]]:
    model = json.loads(booster.save_raw("json"))
    trees: list[dict[str, Any]] = model["learner"]["gradient_booster"]["model"]["trees"]
    return trees
