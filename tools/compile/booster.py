"""Opening a model with XGBoost, and what XGBoost itself answers for it. Only ever done in a child process."""

import json

import numpy as np
import xgboost

from tools.compile.described import Described, Floats, describe
from tools.compile.errors import RefusedError


def open_booster(model: bytes) -> xgboost.Booster:
    """Load a model file (UBJSON or JSON) into XGBoost. Only ever call this in a child process.

    Raises:
        RefusedError: XGBoost cannot read it.
    """
    booster = xgboost.Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(model))
        booster.save_config()
    except xgboost.core.XGBoostError as error:
        raise RefusedError(f"XGBoost {xgboost.__version__} cannot read the model: {_reason(error)}") from None
    return booster


def describe_booster(booster: xgboost.Booster) -> Described:
    """What `booster` is and how it is served.

    Raises:
        RefusedError: it cannot be served. The message says why and what to do.
    """
    learner = json.loads(booster.save_config())["learner"]
    # A linear booster has no rounds to ask for, and describe() is about to refuse it.
    is_linear = learner["gradient_booster"]["name"] == "gblinear"
    return describe(learner, booster.attributes(), 0 if is_linear else booster.num_boosted_rounds())


def xgboost_answers(booster: xgboost.Booster, described: Described, rows: Floats) -> Floats:
    """What XGBoost predicts for `rows` with the rounds that are served, as an array (rows, outputs).

    The columns are those of the served model: P(class 0) is put before the probability XGBoost gives for class 1,
    and multi:softmax answers probabilities.
    """
    if described.objective == "multi:softmax":
        booster.set_param({"objective": "multi:softprob"})
    matrix = xgboost.DMatrix(rows, missing=np.nan, nthread=1)
    answers: Floats = booster.predict(
        matrix, iteration_range=(0, described.served_rounds), validate_features=False, strict_shape=True
    )
    return np.hstack([np.float32(1) - answers, answers]) if described.outputs > answers.shape[1] else answers


def _reason(error: Exception) -> str:
    # XGBoost's messages are "[time] file:line: reason", and then a stack trace.
    first = str(error).strip().split("Stack trace:")[0].strip()
    return " ".join(first.split(": ", 1)[-1].split())[:300]
