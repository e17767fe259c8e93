"""The trees of a treelite model as arrays: reading, checking and rewriting them.

The fields are those of treelite's format (its documentation, "Model spec v4"). A tree is rewritten because FIL
trusts what it loads: it reads past its buffers when a split names a feature that does not exist or a node cannot
be reached (XGBoost's `exact` method leaves pruned nodes behind), and releases before 25.06 go wrong on a tree that
is a single leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import treelite
from numpy.typing import NDArray

from tools.compile.errors import RefusedError

LEAF, NUMERICAL, CATEGORICAL = 0, 1, 2
_NO_TEST, _LESS_THAN = 0, 2

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree. Every array but `category_list` has one element per node; node 0 is the root.

    At a numerical node a row goes left when its value is less than `threshold`. At a categorical one it goes right
    when its value is in `category_list[category_list_begin:category_list_end]`. A missing value goes left where
    `default_left` is 1.
    """

    node_type: Array
    cleft: Array
    cright: Array
    split_index: Array
    default_left: Array
    leaf_value: Array
    threshold: Array
    cmp: Array
    category_list_right_child: Array
    category_list: Array
    category_list_begin: Array
    category_list_end: Array

    @property
    def nodes(self) -> int:
        """How many there are, reachable or not."""
        return len(self.node_type)

    def categories(self, node: int) -> Array:
        """The categories that go right at a categorical node (uint32)."""
        return self.category_list[self.category_list_begin[node] : self.category_list_end[node]]


_PER_NODE = tuple(name for name in Tree.__slots__ if name != "category_list")
# What training left for people to look at. Nothing reads them on the CPU path, and they are a quarter of the file.
_STATISTICS = {"data_count": np.uint64, "sum_hess": np.float64, "gain": np.float64}


def read_forest(model: treelite.Model) -> list[Tree]:
    """The trees of `model`, copied out of it."""
    return [_read_tree(model.get_tree_accessor(index)) for index in range(model.num_tree)]


def write_forest(model: treelite.Model, forest: Sequence[Tree]) -> None:
    """Replace the trees of `model`, as many as it has, and drop the statistics of training."""
    for index, tree in enumerate(forest):
        accessor = model.get_tree_accessor(index)
        for name in Tree.__slots__:
            accessor.set_field(name, getattr(tree, name))
        accessor.set_field("num_nodes", np.array([tree.nodes], np.int32))
        accessor.set_field("has_categorical_split", np.array([np.any(tree.node_type == CATEGORICAL)], np.uint8))
        for name in ("leaf_vector_begin", "leaf_vector_end"):
            accessor.set_field(name, np.zeros(tree.nodes, np.uint64))
        for name, dtype in _STATISTICS.items():
            accessor.set_field(name, np.empty(0, dtype))
            accessor.set_field(f"{name}_present", np.empty(0, np.uint8))


def sound_tree(tree: Tree, features: int) -> Tree:
    """The same tree with only the nodes that can be reached, and with a split at its root.

    Raises:
        RefusedError: it is not a tree, or a split of it names what is not there.
    """
    kept = _reachable(tree)
    split = kept[tree.node_type[kept] != LEAF]
    if np.any((tree.split_index[split] < 0) | (tree.split_index[split] >= features)):
        raise RefusedError("the model is damaged: a split names a feature the model does not have")
    if np.any(np.isnan(tree.threshold[split])):
        raise RefusedError("the model is damaged: a split's threshold is not a number")
    _check_categories(tree, kept)
    if len(kept) == 1:
        return _split_leaf(tree.leaf_value[0])
    return tree if len(kept) == tree.nodes else _only(tree, kept)


def add_to_leaves(tree: Tree, value: np.float32) -> Tree:
    """The tree with `value` added, in float32, to what each leaf answers."""
    return replace(tree, leaf_value=np.where(tree.node_type == LEAF, tree.leaf_value + value, tree.leaf_value))


def _read_tree(accessor: treelite.model.TreeAccessor) -> Tree:
    # The accessor's arrays are views of treelite's memory, so they are copied before anything can free it.
    return Tree(**{name: np.array(accessor.get_field(name)) for name in Tree.__slots__})


def _reachable(tree: Tree) -> Array:
    """The nodes a row can come to, in rising order."""
    seen = np.zeros(tree.nodes, bool)
    level = np.zeros(1, np.int64)
    seen[0] = True
    while level.size:
        parents = level[tree.node_type[level] != LEAF]
        level = np.concatenate([tree.cleft[parents], tree.cright[parents]]).astype(np.int64)
        if np.any((level < 1) | (level >= tree.nodes)):
            raise RefusedError("the model is damaged: a tree names a node it does not have")
        if len(np.unique(level)) < len(level) or np.any(seen[level]):
            raise RefusedError("the model is damaged: a node of a tree has two parents")
        seen[level] = True
    return np.flatnonzero(seen)


def _check_categories(tree: Tree, kept: Array) -> None:
    nodes = kept[tree.node_type[kept] == CATEGORICAL]
    begin, end = tree.category_list_begin[nodes], tree.category_list_end[nodes]
    if np.any((begin >= end) | (end > len(tree.category_list))):
        raise RefusedError("the model is damaged: a categorical split has no categories")
    if not np.all(tree.category_list_right_child[nodes]):
        raise RefusedError("the model is damaged: a categorical split is not as XGBoost writes it")


def _only(tree: Tree, kept: Array) -> Tree:
    renumbered = np.full(tree.nodes, -1, np.int32)
    renumbered[kept] = np.arange(len(kept), dtype=np.int32)
    inner = tree.node_type[kept] != LEAF
    smaller = replace(tree, **{name: getattr(tree, name)[kept] for name in _PER_NODE})
    return replace(
        smaller,
        cleft=np.where(inner, renumbered[smaller.cleft], -1).astype(np.int32),
        cright=np.where(inner, renumbered[smaller.cright], -1).astype(np.int32),
    )


def _split_leaf(value: np.float32) -> Tree:
    """A tree that asks something, and answers `value` either way."""
    return Tree(
        node_type=np.array([NUMERICAL, LEAF, LEAF], np.int8),
        cleft=np.array([1, -1, -1], np.int32),
        cright=np.array([2, -1, -1], np.int32),
        split_index=np.array([0, -1, -1], np.int32),
        default_left=np.array([1, 0, 0], np.uint8),
        leaf_value=np.array([0, value, value], np.float32),
        threshold=np.zeros(3, np.float32),
        cmp=np.array([_LESS_THAN, _NO_TEST, _NO_TEST], np.int8),
        category_list_right_child=np.zeros(3, np.uint8),
        category_list=np.empty(0, np.uint32),
        category_list_begin=np.zeros(3, np.uint64),
        category_list_end=np.zeros(3, np.uint64),
    )
