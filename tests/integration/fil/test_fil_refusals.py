"""An entry that could not be served safely is refused when it is loaded, with a message that says what to change."""

from collections.abc import Callable

import numpy as np
import pytest
import xgboost

from tests.fil_entries import REGRESSION, Entry, checkpoint
from tests.models import FEATURES, train

Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def model() -> bytes:
    return checkpoint(train("binary:logistic").booster)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Entry(FEATURES + 1, 2), "input__0 has dims [7], but the model takes 6 features"),
        (Entry(FEATURES - 1, 2), "input__0 has dims [5], but the model takes 6 features"),
        (Entry(-1, 2), "input__0 has dims [-1], but the model takes 6 features"),
        (Entry(FEATURES, 1), "output__0 has dims [1], but the model answers 2 values a row"),
        (Entry(FEATURES, 3), "output__0 has dims [3], but the model answers 2 values a row"),
        (Entry(FEATURES, 2, REGRESSION), "output__0 has dims [2], but the model answers 1 value a row"),
        (Entry(FEATURES, 2, max_batch_size=0, input_name="rows"), "one tensor called input__0, not: rows"),
        (Entry(FEATURES, 2, output_name="proba"), "one tensor called output__0, not: proba"),
        (Entry(FEATURES, 2, input_type="TYPE_FP64"), "input__0 has to be TYPE_FP32, not TYPE_FP64"),
        (Entry(FEATURES, 2, output_type="TYPE_FP16"), "output__0 has to be TYPE_FP32, not TYPE_FP16"),
        (Entry(FEATURES, 2, {"model_type": "sklearn"}), 'model_type "sklearn" is not known: use one of xgboost_json'),
        (Entry(FEATURES, 2, {"model_type": None}), "parameter model_type is missing"),
        (Entry(FEATURES, 2, {"output_class": None}), "parameter is_classifier is missing"),
        (Entry(FEATURES, 2, {"is_classifier": "false"}), "is_classifier and output_class disagree"),
        (Entry(FEATURES, 2, {"threshold": None}), "parameter threshold is missing"),
        (Entry(FEATURES, 2, {"threshold": "half"}), 'parameter threshold is "half": it has to be a number'),
        (Entry(FEATURES, 2, {"predict_proba": "yes"}), 'parameter predict_proba is "yes": it has to be "true" or'),
        (Entry(FEATURES, 2, {"cpu_nthread": "1.5"}), 'parameter cpu_nthread is "1.5": it has to be a number'),
        (Entry(FEATURES, 1, {**REGRESSION, "predict_proba": "true"}), "predict_proba is for classifiers"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_config_is_refused(refusal: Refusal, model: bytes, entry: Entry, message: str) -> None:
    assert message in refusal(entry, model)


def test_shap_values_are_refused(refusal: Refusal, model: bytes) -> None:
    second = 'output [{ name: "treeshap_output" data_type: TYPE_FP32 dims: [ 7 ] }]'
    assert "computes no SHAP values" in refusal(Entry(FEATURES, 2, more=second), model)


def test_a_missing_file_is_refused_by_its_path(refusal: Refusal, model: bytes) -> None:
    message = refusal(Entry(FEATURES, 2), model, "checkpoint.bin")
    assert "/1/checkpoint.tl: No such file or directory" in message


def test_a_model_of_several_targets_is_refused(refusal: Refusal) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(100, FEATURES))
    matrix = xgboost.DMatrix(rows, rng.normal(size=(100, 2)))
    booster = xgboost.train({"objective": "reg:squarederror", "nthread": 1}, matrix, 3)
    assert "the model has 2 targets; FIL serves one" in refusal(Entry(FEATURES, 2, REGRESSION), checkpoint(booster))


@pytest.mark.parametrize(("model_type", "file_name"), [("xgboost_json", "xgboost.json"), ("lightgbm", "model.txt")])
def test_what_treelite_cannot_read_is_refused_in_its_words(refusal: Refusal, model_type: str, file_name: str) -> None:
    message = refusal(Entry(FEATURES, 2, {"model_type": model_type}), b"not a model", file_name)
    assert "treelite: " in message


def test_a_model_group_for_a_gpu_is_refused(refusal: Refusal, model: bytes) -> None:
    refused = refusal(Entry(FEATURES, 2, kind="KIND_GPU"), model)
    assert "GPU" in refused
