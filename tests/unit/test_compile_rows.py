"""The rows of a proof arrive at the splits they are made for."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.boosters import categorical, train
from tools.compile.booster import describe_booster
from tools.compile.checkpoint import convert
from tools.compile.described import Floats
from tools.compile.forest import CATEGORICAL, LEAF, Tree
from tools.compile.rows import CELLS, ROWS, probes, proof_rows

_INFINITY = np.float32(np.inf)


def _forest(kind: str = "numbers") -> list[Tree]:
    booster = categorical(max_cat_to_onehot=1) if kind == "categories" else train("reg:squarederror", rounds=4)
    return convert(booster, describe_booster(booster)).forest


def _way(tree: Tree, row: Floats) -> Iterator[int]:
    node = 0
    while tree.node_type[node] != LEAF:
        yield node
        value = row[tree.split_index[node]]
        if np.isnan(value):
            left = bool(tree.default_left[node])
        elif tree.node_type[node] == CATEGORICAL:
            left = value not in tree.categories(node)
        else:
            left = value < tree.threshold[node]
        node = int(tree.cleft[node] if left else tree.cright[node])


def _key(value: np.float32) -> float:
    return -1e30 if np.isnan(value) else float(value)


def _inner(forest: list[Tree]) -> set[tuple[int, int]]:
    return {(index, int(node)) for index, tree in enumerate(forest) for node in np.flatnonzero(tree.node_type != LEAF)}


@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_every_split_of_a_small_model_is_asked_every_question(kind: str) -> None:
    forest = _forest(kind)
    rows = proof_rows(forest, 6 if kind == "numbers" else 4)
    asked: dict[tuple[int, int], set[float]] = {split: set() for split in _inner(forest)}
    asked_before = set[tuple[int, int]]()
    for row in rows:
        for index, tree in enumerate(forest):
            features_before = set[int]()
            for node in _way(tree, row):
                feature = int(tree.split_index[node])
                asked[index, node].add(_key(row[feature]))
                if feature in features_before:
                    asked_before.add((index, node))
                features_before.add(feature)
    for (index, node), seen in asked.items():
        assert seen
        # Where a split above asks about the same feature, not every value can come this far.
        if (index, node) not in asked_before:
            assert {_key(value) for value in probes(forest[index], node)} <= seen
    assert len(asked_before) < 0.75 * len(asked)


def test_a_threshold_is_asked_at_and_on_both_sides() -> None:
    tree = _forest()[0]
    below, at, above, missing = probes(tree, 0)
    threshold = tree.threshold[0]
    assert at == threshold
    assert below == np.nextafter(threshold, -_INFINITY)
    assert above == np.nextafter(threshold, _INFINITY)
    assert np.isnan(missing)


def test_a_categorical_split_is_asked_about_both_sides_an_unseen_category_and_none() -> None:
    tree = _forest("categories")[0]
    node = int(np.flatnonzero(tree.node_type == CATEGORICAL)[0])
    first, last, free, unseen, missing = probes(tree, node)
    listed = set(tree.categories(node).astype(float))
    assert {first, last} <= listed
    assert free not in listed
    assert free <= 12
    assert unseen > 1e6
    assert np.isnan(missing)


@settings(deadline=None, max_examples=10)
@given(st.integers(6, 60_000))
def test_rows_are_finite_or_missing_and_bounded_in_number(features: int) -> None:
    forest = _TINY
    rows = proof_rows(forest, features)
    assert rows.dtype == np.float32
    assert rows.shape[1] == features
    assert not np.any(np.isinf(rows))
    assert 16 <= len(rows) <= ROWS
    assert rows.size <= CELLS or len(rows) == 16


def test_the_same_forest_gives_the_same_rows() -> None:
    np.testing.assert_array_equal(proof_rows(_TINY, 6), proof_rows(_TINY, 6))


@pytest.mark.parametrize("threshold", [np.finfo(np.float32).max, -np.finfo(np.float32).max, np.inf, 0.0, 1e-45])
def test_extreme_thresholds_give_finite_rows(threshold: float) -> None:
    tree = _TINY[0]
    thresholds = np.full_like(tree.threshold, threshold)
    rows = proof_rows([Tree(**{n: getattr(tree, n) for n in Tree.__slots__} | {"threshold": thresholds})], 6)
    assert not np.any(np.isinf(rows))


_TINY = _forest()[:1]
