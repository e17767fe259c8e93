"""Rows that a proof is made on: built from the model's own splits, so that they reach them.

For a sample of splits over all trees, the values on the way from the root are chosen so that the row arrives at the
split, and then stands at the threshold, just below, just above, and has no value there; or has a category that goes
right, one that goes left, one never seen, and none. Features that do not matter get values that other splits of the
model look for. Random rows with missing values are added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.compile.described import Floats
from tools.compile.forest import CATEGORICAL, LEAF, Tree

ROWS = 2048
# Bounds the memory of a proof of a model with very many features: 32 MiB of rows.
CELLS = 8 << 20
_RANDOM_SHARE = 0.25
_MISSING_SHARE = 0.1
# Larger than any category XGBoost can have been trained with and still take as one (its limit is 2**24).
_UNSEEN_CATEGORY = np.float32(2**24 - 1)
_FLOAT32_MAX = np.finfo(np.float32).max


@dataclass(frozen=True, slots=True)
class Split:
    """An inner node of a tree, by their numbers."""

    tree: int
    node: int


def proof_rows(forest: Sequence[Tree], features: int, seed: int = 0) -> Floats:
    """Rows for a proof of `forest`: float32, (about `ROWS`, features), NaN where a value is missing.

    The same forest and seed give the same rows.
    """
    random = np.random.default_rng(seed)
    count = max(16, min(ROWS, CELLS // features))
    values = [_values_of(feature) for feature in _thresholds(forest, features)]
    background = np.stack([random.choice(pool, count) for pool in values], axis=1)
    background[random.random(background.shape) < _MISSING_SHARE] = np.nan
    row = iter(background[int(count * _RANDOM_SHARE) :])
    parents = [_parents(tree) for tree in forest]
    for split in _sample(forest, random, count):
        tree = forest[split.tree]
        way = _Way(tree, parents[split.tree], split.node).values()
        for value in probes(tree, split.node):
            target = next(row, None)
            if target is None:
                return background
            for feature, needed in way.items():
                target[feature] = needed
            target[tree.split_index[split.node]] = value
    return background


def probes(tree: Tree, node: int) -> Floats:
    """The values that a split must be asked about, NaN (missing) among them."""
    if tree.node_type[node] == CATEGORICAL:
        listed = tree.categories(node)
        free = np.setdiff1d(np.arange(len(listed) + 1), listed)[0]
        return np.array([listed[0], listed[-1], free, _UNSEEN_CATEGORY, np.nan], np.float32)
    return np.append(_around(tree.threshold[node : node + 1]), np.float32(np.nan))


class _Way:
    """What a row must hold to come from the root to a node."""

    def __init__(self, tree: Tree, parents: NDArray[np.int64], node: int) -> None:
        self._low: dict[int, np.float32] = {}
        self._high: dict[int, np.float32] = {}
        self._listed: dict[int, set[int]] = {}
        self._unlisted: dict[int, set[int]] = {}
        while node:
            parent = int(parents[node])
            self._turn(tree, parent, right=int(tree.cright[parent]) == node)
            node = parent

    def values(self) -> dict[int, float]:
        """A value for each feature that is asked about on the way, finite or missing."""
        below = {feature: np.nextafter(high, -_FLOAT32_MAX) for feature, high in self._high.items()}
        at = {feature: min(low, _FLOAT32_MAX) for feature, low in self._low.items()}
        categories = {feature: self._category(feature) for feature in self._listed.keys() | self._unlisted.keys()}
        return below | at | categories

    def _category(self, feature: int) -> float:
        out = self._unlisted.get(feature, set())
        choice = self._listed.get(feature, range(len(out) + 1))
        # Where no category is left, a missing value may still come this way.
        return min(set(choice) - out, default=np.nan)

    def _turn(self, tree: Tree, node: int, right: bool) -> None:
        feature = int(tree.split_index[node])
        if tree.node_type[node] == CATEGORICAL:
            listed = set(tree.categories(node).tolist())
            if right:
                self._listed[feature] = self._listed.get(feature, listed) & listed
            else:
                self._unlisted[feature] = self._unlisted.get(feature, set()) | listed
        elif right:
            self._low[feature] = max(self._low.get(feature, tree.threshold[node]), tree.threshold[node])
        else:
            self._high[feature] = min(self._high.get(feature, tree.threshold[node]), tree.threshold[node])


def _thresholds(forest: Sequence[Tree], features: int) -> list[Floats]:
    """What each feature is compared with anywhere: thresholds, or categories."""
    index, value = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    for tree in forest:
        inner = np.flatnonzero(tree.node_type != LEAF)
        categorical = inner[tree.node_type[inner] == CATEGORICAL]
        index += [
            tree.split_index[inner],
            *(np.repeat(tree.split_index[n], len(tree.categories(n))) for n in categorical),
        ]
        value += [tree.threshold[inner], *(tree.categories(n).astype(np.float32) for n in categorical)]
    indices, values = np.concatenate(index), np.concatenate(value)
    order = np.argsort(indices, kind="stable")
    return np.split(values[order], np.searchsorted(indices[order], np.arange(1, features)))


def _values_of(thresholds: Floats) -> Floats:
    if not len(thresholds):
        return np.array([0, 1, -1], np.float32)
    return _around(np.unique(thresholds))


def _around(thresholds: Floats) -> Floats:
    """Their neighbours below, the thresholds, their neighbours above; finite, because XGBoost refuses all else."""
    infinity = np.float32(np.inf)
    with np.errstate(over="ignore"):
        near = [np.nextafter(thresholds, -infinity), thresholds, np.nextafter(thresholds, infinity)]
    finite: Floats = np.clip(np.concatenate(near), -_FLOAT32_MAX, _FLOAT32_MAX)
    return finite


def _parents(tree: Tree) -> NDArray[np.int64]:
    parents = np.zeros(tree.nodes, np.int64)
    inner = np.flatnonzero(tree.node_type != LEAF)
    parents[tree.cleft[inner]] = parents[tree.cright[inner]] = inner
    return parents


def _sample(forest: Sequence[Tree], random: np.random.Generator, count: int) -> Iterator[Split]:
    """Up to `count` splits, none twice, from all over the forest."""
    inner = [np.flatnonzero(tree.node_type != LEAF) for tree in forest]
    starts = np.cumsum([0, *(len(nodes) for nodes in inner)])
    for chosen in (
        random.permutation(starts[-1])[:count] if starts[-1] <= count else random.choice(starts[-1], count, False)
    ):
        tree = int(np.searchsorted(starts, chosen, side="right")) - 1
        yield Split(tree, int(inner[tree][chosen - starts[tree]]))
