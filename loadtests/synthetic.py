"""Models of a wanted size, made in a moment: their trees are written, not learnt.

The structure, feature and threshold of every node are drawn at random, with thresholds from 256 quantiles a feature as
XGBoost's histograms have them. What loading and memory depend on (trees, nodes, bytes) is that of a learnt model.
"""

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loadtests.models import QUERY_ROWS, Reference, TrainedModel
from tools.catalog.tenant import TenantId

if TYPE_CHECKING:
    import xgboost

FEATURES = 20
# Of a checkpoint as `orchard compile` writes it, measured from 185 KB to 45 MB.
CHECKPOINT_BYTES_PER_NODE = 56
CHECKPOINT_BYTES_PER_TREE = 190
# Every node splits in the first levels, and most do further down.
_FULL_LEVELS = 3
_SPLIT_SHARE = 0.8
_NO_PARENT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """A binary classifier whose treelite checkpoint has about `checkpoint_bytes` bytes."""

    tenant: TenantId
    checkpoint_bytes: int
    seed: int

    @property
    def effort(self) -> float:
        return float(self.checkpoint_bytes)

    def make(self) -> TrainedModel:
        booster = _booster(self.checkpoint_bytes, np.random.default_rng(self.seed))
        rows = np.random.default_rng(self.seed).normal(size=(QUERY_ROWS, FEATURES)).astype(np.float32)
        positive = booster.inplace_predict(rows)
        reference = Reference(rows, np.stack([1 - positive, positive], axis=1))
        return TrainedModel(ubj=bytes(booster.save_raw("ubj")), reference=reference)


def _booster(checkpoint_bytes: int, draw: np.random.Generator) -> "xgboost.Booster":
    import xgboost

    quantiles = np.sort(draw.normal(size=(FEATURES, 256)).astype(np.float32), axis=1)
    depth = max(_FULL_LEVELS, int(0.75 * math.log2(checkpoint_bytes / CHECKPOINT_BYTES_PER_NODE) - 3.5))
    trees: list[dict[str, Any]] = []
    written = 0
    while written < checkpoint_bytes:
        splits = _structure(depth, draw)
        trees.append(_tree(len(trees), splits, quantiles, draw))
        written += CHECKPOINT_BYTES_PER_TREE + CHECKPOINT_BYTES_PER_NODE * len(splits)

    document = _template()
    model = document["learner"]["gradient_booster"]["model"]
    model["trees"] = trees
    model["tree_info"] = [0] * len(trees)
    model["iteration_indptr"] = list(range(len(trees) + 1))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    return xgboost.Booster(model_file=bytearray(json.dumps(document).encode()))


def _structure(depth: int, draw: np.random.Generator) -> NDArray[np.bool_]:
    """Which nodes of a tree of at most `depth` levels of splits do split, in breadth-first order."""
    levels = []
    width = 1
    for level in range(depth):
        splits = np.ones(width, dtype=bool) if level < _FULL_LEVELS else draw.random(width) < _SPLIT_SHARE
        levels.append(splits)
        width = 2 * int(splits.sum())
    return np.concatenate([*levels, np.zeros(width, dtype=bool)])


def _template() -> Any:
    import xgboost

    rows = np.zeros((2, FEATURES), dtype=np.float32)
    parameters = {"objective": "binary:logistic", "nthread": 1, "base_score": 0.5}
    model = xgboost.train(parameters, xgboost.DMatrix(rows, label=[0, 1]), num_boost_round=1)
    return json.loads(bytes(model.save_raw("json")))


def _tree(
    number: int, is_split: NDArray[np.bool_], quantiles: NDArray[np.float32], draw: np.random.Generator
) -> dict[str, Any]:
    """A tree in breadth-first order, as XGBoost's JSON has one."""
    nodes = len(is_split)
    left = np.where(is_split, 2 * np.cumsum(is_split) - 1, -1)
    parents = np.full(nodes, _NO_PARENT)
    parents[1:] = np.repeat(np.flatnonzero(is_split), 2)
    features = np.where(is_split, draw.integers(0, FEATURES, nodes), 0)
    thresholds = quantiles[features, draw.integers(0, 256, nodes)]
    leaves = (draw.normal(size=nodes) * 0.02).astype(np.float32)
    floats: dict[str, NDArray[np.float32]] = {
        "split_conditions": np.where(is_split, thresholds, leaves),
        "base_weights": leaves,
        "loss_changes": np.where(is_split, draw.exponential(5.0, nodes), 0.0).astype(np.float32),
        "sum_hessian": draw.exponential(50.0, nodes).astype(np.float32),
    }
    integers = {
        "left_children": left,
        "right_children": np.where(is_split, left + 1, -1),
        "parents": parents,
        "split_indices": features,
        "split_type": np.zeros(nodes, dtype=int),
        "default_left": draw.integers(0, 2, nodes) * is_split,
    }
    categorical: dict[str, list[int]] = {
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
    }
    size = {"num_deleted": "0", "num_feature": str(FEATURES), "num_nodes": str(nodes), "size_leaf_vector": "1"}
    return {
        "id": number,
        "tree_param": size,
        **{name: values.tolist() for name, values in floats.items()},
        **{name: values.tolist() for name, values in integers.items()},
        **categorical,
    }
