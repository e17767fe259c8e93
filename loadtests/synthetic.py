"""Models of a wanted size, made in a moment: their trees are written, not learnt.

The structure, feature and threshold of every node are drawn at random, with thresholds from 256 quantiles a feature as
XGBoost's histograms have them. What loading and memory depend on (trees, nodes, bytes) is that of a learnt model.
"""

import json
import math
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

FEATURES = 20
# A node of a treelite 4.x checkpoint, measured on checkpoints of 185 KB to 45 MB.
CHECKPOINT_BYTES_PER_NODE = 75
_NO_PARENT = 2**31 - 1


def synthetic_model(checkpoint_bytes: int, seed: int = 0) -> bytes:
    """A binary classifier, in UBJSON, whose treelite checkpoint has about `checkpoint_bytes` bytes."""
    nodes = checkpoint_bytes / CHECKPOINT_BYTES_PER_NODE
    depth = max(3, math.floor(math.log2(nodes) / 2))
    trees = max(1, round(nodes / (2 ** (depth + 1) - 1)))
    draw = np.random.default_rng(seed)
    quantiles = np.sort(draw.normal(size=(FEATURES, 256)).astype(np.float32), axis=1)

    document = _template()
    booster = document["learner"]["gradient_booster"]["model"]
    booster["trees"] = [_tree(number, depth, quantiles, draw) for number in range(trees)]
    booster["tree_info"] = [0] * trees
    booster["iteration_indptr"] = list(range(trees + 1))
    booster["gbtree_model_param"]["num_trees"] = str(trees)
    model = xgboost.Booster()
    model.load_model(bytearray(json.dumps(document).encode()))
    return bytes(model.save_raw("ubj"))


def _template() -> Any:
    rows = np.zeros((2, FEATURES), dtype=np.float32)
    parameters = {"objective": "binary:logistic", "nthread": 1, "base_score": 0.5}
    model = xgboost.train(parameters, xgboost.DMatrix(rows, label=[0, 1]), num_boost_round=1)
    return json.loads(bytes(model.save_raw("json")))


def _tree(number: int, depth: int, quantiles: NDArray[np.float32], draw: np.random.Generator) -> dict[str, Any]:
    """A full tree in breadth-first order, as XGBoost's JSON has one."""
    splits = 2**depth - 1
    nodes = 2 * splits + 1
    index = np.arange(nodes)
    is_split = index < splits
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
        "left_children": np.where(is_split, 2 * index + 1, -1),
        "right_children": np.where(is_split, 2 * index + 2, -1),
        "parents": np.where(index == 0, _NO_PARENT, (index - 1) // 2),
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
