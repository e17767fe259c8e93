"""One tenant's model: how it is trained, and what XGBoost itself answers with it.

XGBoost and scikit-learn are imported where they train: whoever only reads what was made starts in half the time.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from loadtests.fraud_data import Floats, payments
from tools.catalog.tenant import TenantId

if TYPE_CHECKING:
    import xgboost

Source = Literal["payments", "breast-cancer", "digits", "wine", "diabetes"]
QUERY_ROWS = 200


class Spec(Protocol):
    """How to make one tenant's model. Equal specs make equal models, and their `repr` is equal too."""

    @property
    def tenant(self) -> TenantId: ...

    @property
    def effort(self) -> float:
        """About how long the making takes, in any unit."""
        ...

    def make(self) -> "TrainedModel": ...


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to be trained on a merchant's payments or on real data.

    `rows` is the size of the training set of payments, and is not used by the data sets of fixed size.
    `early_stopping` keeps a tenth of the rows aside and stops when they no longer gain.
    """

    tenant: TenantId
    trees: int
    depth: int
    seed: int
    source: Source = "payments"
    rows: int = 0
    early_stopping: bool = False

    @property
    def effort(self) -> float:
        return float(self.trees * max(self.rows, 1_000))

    def make(self) -> "TrainedModel":
        """Train on one thread, so that as many models can train at once as there are cores."""
        features, target, queries = _data(self)
        held_out = len(features) // 10 if self.early_stopping else 0
        estimator = _estimator(self, target)
        if held_out:
            estimator.set_params(early_stopping_rounds=8, eval_metric="aucpr")
            evaluation = [(features[:held_out], target[:held_out])]
            estimator.fit(features[held_out:], target[held_out:], eval_set=evaluation, verbose=False)
        else:
            estimator.fit(features, target)
        answer = estimator.predict if self.source == "diabetes" else estimator.predict_proba
        reference = Reference(rows=queries, answers=np.asarray(answer(queries), dtype=np.float32))
        return TrainedModel(ubj=bytes(estimator.get_booster().save_raw("ubj")), reference=reference)


@dataclass(frozen=True, slots=True)
class Reference:
    """Rows to ask, shape (`QUERY_ROWS` or fewer, features), and XGBoost's answer to each of them.

    `answers` has the shape Triton gives: (rows, classes) for a classifier, (rows,) for a regression.
    """

    rows: Floats
    answers: Floats

    @property
    def is_probability(self) -> bool:
        return self.answers.ndim == 2

    def agrees(self, first: int, answer: NDArray[np.float32]) -> bool:
        """Whether `answer` is what XGBoost says of `len(answer)` rows from `first` on.

        Probabilities may differ by 1e-5, regressions by 1e-6 of their value.
        """
        expected = self.answers[first : first + len(answer)]
        if answer.shape != expected.shape:
            return False
        if self.is_probability:
            return bool(np.all(np.abs(answer - expected) <= 1e-5))
        return bool(np.all(np.abs(answer - expected) <= 1e-6 * np.abs(expected)))


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model in XGBoost's own UBJSON format, and its reference answers."""

    ubj: bytes
    reference: Reference


def _estimator(spec: ModelSpec, target: NDArray[np.generic]) -> "xgboost.XGBModel":
    import xgboost

    parameters = {
        "n_estimators": spec.trees,
        "max_depth": spec.depth,
        "learning_rate": 0.1,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "n_jobs": 1,
        "random_state": spec.seed,
    }
    if spec.source == "diabetes":
        return xgboost.XGBRegressor(**parameters)
    if spec.source == "payments":
        # What a fraud team does about one fraud in a hundred: weigh it, but less than its rarity says.
        parameters["scale_pos_weight"] = float(np.sqrt((target == 0).sum() / (target == 1).sum()))
    return xgboost.XGBClassifier(**parameters)


def _data(spec: ModelSpec) -> tuple[Floats, NDArray[np.generic], Floats]:
    if spec.source == "payments":
        history = payments(spec.seed, spec.rows)
        return history.features, history.fraud, _payments_to_ask(spec.seed)
    from sklearn import datasets

    load = {
        "breast-cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
    }[spec.source]
    features, target = load(return_X_y=True)
    features = features.astype(np.float32)
    queries = np.random.default_rng(spec.seed).permutation(features)[:QUERY_ROWS]
    return features, target, queries


def _payments_to_ask(merchant_seed: int) -> Floats:
    """Payments the model has not seen, with more frauds among them than there are, so that answers differ."""
    fresh = payments(merchant_seed, 2_000, sample_seed=1)
    shuffled = np.random.default_rng(merchant_seed).permutation(len(fresh.fraud))
    frauds = shuffled[fresh.fraud[shuffled] == 1]
    others = shuffled[fresh.fraud[shuffled] == 0]
    chosen = np.concatenate([frauds, others])[:QUERY_ROWS]
    features: Floats = fresh.features[np.random.default_rng(merchant_seed).permutation(chosen)]
    return features
