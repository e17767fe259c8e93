"""The backend answers as XGBoost does, in the tensors and shapes of NVIDIA's backend."""

import json
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from tests.fil_entries import REGRESSION, Entry, checkpoint
from tests.integration.fil.conftest import Serve
from tests.integration.triton_process import TritonProcess
from tests.models import FEATURES, Rows, Trained, train, train_categorical

PROBABILITY_TOLERANCE = 1e-5
REGRESSION_TOLERANCE = 1e-6

BINARY: Mapping[str, Callable[[], Trained]] = {
    "logistic": lambda: train("binary:logistic"),
    "logistic with base_score": lambda: train("binary:logistic", base_score=0.1),
    "dart": lambda: train("binary:logistic", booster="dart", rate_drop=0.3),
    "random forest": lambda: train("binary:logistic", rounds=1, num_parallel_tree=20, subsample=0.5, eta=1.0),
    "lossguide": lambda: train("binary:logistic", grow_policy="lossguide", max_leaves=20, tree_method="hist"),
    "categories": train_categorical,
}
REGRESSIONS = ("reg:squarederror", "reg:absoluteerror", "count:poisson", "reg:gamma", "reg:tweedie", "rank:ndcg")


@pytest.mark.parametrize("kind", BINARY)
def test_a_binary_model_answers_both_probabilities(triton: TritonProcess, serve: Serve, kind: str) -> None:
    trained = BINARY[kind]()
    answer = triton.infer(serve(Entry(FEATURES, 2), checkpoint(trained.booster)), trained.rows)
    assert answer.shape == (len(trained.rows), 2)
    np.testing.assert_allclose(answer[:, 1], trained.expected(), atol=PROBABILITY_TOLERANCE, rtol=0)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


def test_a_model_of_many_classes_answers_one_probability_each(triton: TritonProcess, serve: Serve) -> None:
    trained = train("multi:softprob", num_class=5)
    answer = triton.infer(serve(Entry(FEATURES, 5), checkpoint(trained.booster)), trained.rows)
    assert answer.shape == (len(trained.rows), 5)
    np.testing.assert_allclose(answer, trained.expected(), atol=PROBABILITY_TOLERANCE, rtol=0)


@pytest.mark.parametrize("objective", REGRESSIONS)
def test_a_regression_answers_one_value_a_row_in_one_dimension(
    triton: TritonProcess, serve: Serve, objective: str
) -> None:
    trained = train(objective)
    answer = triton.infer(serve(Entry(FEATURES, 1, REGRESSION), checkpoint(trained.booster)), trained.rows)
    assert answer.shape == (len(trained.rows),)
    np.testing.assert_allclose(answer, trained.expected(), rtol=REGRESSION_TOLERANCE, atol=1e-6)


def test_without_probabilities_a_binary_model_answers_the_class_by_its_threshold(
    triton: TritonProcess, serve: Serve
) -> None:
    trained = train("binary:logistic")
    name = serve(Entry(FEATURES, 1, {"predict_proba": "false", "threshold": "0.7"}), checkpoint(trained.booster))
    answer = triton.infer(name, trained.rows)
    assert answer.shape == (len(trained.rows),)
    np.testing.assert_array_equal(answer, trained.expected() > 0.7)
    assert set(answer) == {0.0, 1.0}


def test_without_probabilities_a_model_of_many_classes_answers_the_likeliest(
    triton: TritonProcess, serve: Serve
) -> None:
    trained = train("multi:softprob", num_class=4)
    name = serve(Entry(FEATURES, 1, {"predict_proba": "false"}), checkpoint(trained.booster))
    np.testing.assert_array_equal(triton.infer(name, trained.rows), trained.expected().argmax(axis=1))


@pytest.mark.parametrize(
    "parameters",
    [
        {"output_class": "true", "is_classifier": None},
        {"output_class": None, "is_classifier": "true"},
        {"output_class": "true", "is_classifier": "true"},
    ],
    ids=["before 25.09", "from 25.09", "both"],
)
def test_both_spellings_of_the_parameters_are_taken(
    triton: TritonProcess, serve: Serve, parameters: dict[str, str | None]
) -> None:
    trained = train("binary:logistic")
    answer = triton.infer(serve(Entry(FEATURES, 2, parameters), checkpoint(trained.booster)), trained.rows)
    np.testing.assert_allclose(answer[:, 1], trained.expected(), atol=PROBABILITY_TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("model_type", "file_name", "raw_format"),
    [("xgboost_ubj", "xgboost.ubj", "ubj"), ("xgboost_json", "xgboost.json", "json")],
)
def test_xgboosts_own_files_are_served_too(
    triton: TritonProcess, serve: Serve, model_type: str, file_name: str, raw_format: str
) -> None:
    trained = train("binary:logistic")
    model = bytes(trained.booster.save_raw(raw_format))
    name = serve(Entry(FEATURES, 2, {"model_type": model_type}), model, file_name)
    answer = triton.infer(name, trained.rows)
    np.testing.assert_allclose(answer[:, 1], trained.expected(), atol=PROBABILITY_TOLERANCE, rtol=0)


LIGHTGBM = """tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=binary sigmoid:1
feature_names=Column_0 Column_1
feature_infos=[-4:4] [-4:4]
tree_sizes=300

Tree=0
num_leaves=2
num_cat=0
split_feature=1
split_gain=1
threshold=0.5
decision_type=2
left_child=-1
right_child=-2
leaf_value=-2 3
leaf_weight=1 1
leaf_count=1 1
internal_value=0
internal_weight=0
internal_count=2
is_linear=0
shrinkage=1


end of trees
"""


def test_a_lightgbm_model_in_double_precision_is_served_as_fp32(triton: TritonProcess, serve: Serve) -> None:
    name = serve(Entry(2, 2, {"model_type": "lightgbm"}), LIGHTGBM.encode(), "model.txt")
    answer = triton.infer(name, np.array([[9, 0.25], [9, 0.75]], np.float32))
    np.testing.assert_allclose(answer[:, 1], 1 / (1 + np.exp([2, -3])), rtol=1e-6)


@pytest.mark.parametrize(("outputs", "parameters"), [(2, {}), (1, REGRESSION)], ids=["binary", "regression"])
def test_without_triton_batching_the_first_dimension_is_the_rows(
    triton: TritonProcess, serve: Serve, outputs: int, parameters: dict[str, str | None]
) -> None:
    trained = train("binary:logistic")
    name = serve(Entry(FEATURES, outputs, parameters, max_batch_size=0), checkpoint(trained.booster))
    answer = triton.infer(name, trained.rows)
    assert answer.shape == ((len(trained.rows), 2) if outputs == 2 else (len(trained.rows),))
    np.testing.assert_allclose(answer.reshape(len(answer), -1)[:, -1], trained.expected(), atol=1e-5, rtol=0)


def test_a_threshold_and_the_floats_around_it_go_the_way_xgboost_sends_them(
    triton: TritonProcess, serve: Serve
) -> None:
    trained = train("binary:logistic")
    rows = _around_splits(trained)
    answer = triton.infer(serve(Entry(FEATURES, 2), checkpoint(trained.booster)), rows)
    np.testing.assert_allclose(answer[:, 1], trained.expected(rows), atol=PROBABILITY_TOLERANCE, rtol=0)


def _around_splits(trained: Trained) -> Rows:
    trees = json.loads(trained.booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    rows = []
    for tree in trees:
        nodes = zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True)
        for split in (np.float32(value) for left, _, value in nodes if left != -1):
            below, above = np.nextafter(split, np.float32(-np.inf)), np.nextafter(split, np.float32(np.inf))
            rows += [np.full(FEATURES, value) for value in (below, split, above)]
    return np.array(rows, np.float32)
