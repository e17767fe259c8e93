"""The proof passes what is equal, and can fail: one changed leaf, threshold or category is caught."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import treelite
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.boosters import categorical, train
from tools.catalog.manifest import Parity
from tools.compile.booster import describe_booster
from tools.compile.checkpoint import convert, write_checkpoint
from tools.compile.described import Floats
from tools.compile.errors import ProofError
from tools.compile.forest import CATEGORICAL, LEAF, NUMERICAL
from tools.compile.objectives import OBJECTIVES, Measure
from tools.compile.proof import TOLERANCES, compare, prove
from tools.compile.rows import proof_rows

_MODELS = {objective: lambda objective=objective: train(objective) for objective in OBJECTIVES} | {
    "dart": lambda: train("binary:logistic", booster="dart", rate_drop=0.3),
    "forest of classes": lambda: train("multi:softprob", rounds=4, num_parallel_tree=2, subsample=0.5),
    "categories": categorical,
}


class _Subject:
    """A booster and its checkpoint, which a test may change before it is proved."""

    def __init__(self, booster: xgboost.Booster, folder: Path) -> None:
        self._booster = booster
        self._path = folder / "checkpoint.tl"
        self._described = describe_booster(booster)
        converted = convert(booster, self._described)
        self.model, self._forest = converted.model, converted.forest

    def prove(self) -> Parity:
        write_checkpoint(self.model, self._path)
        rows = proof_rows(self._forest, self._described.features)
        return prove(self._path, self._booster, self._described, rows)

    def change(self, field: str, kind: int, by: Any) -> None:
        """Apply `by` to the field's value at the first node of that kind, in the first tree that has one."""
        for index in range(self.model.num_tree):
            tree = self.model.get_tree_accessor(index)
            nodes = np.flatnonzero(tree.get_field("node_type") == kind)
            if len(nodes):
                values = tree.get_field(field).copy()
                values[nodes[0]] = by(values[nodes[0]])
                tree.set_field(field, values)
                return
        raise AssertionError(f"no node of kind {kind}")


@pytest.fixture(params=sorted(_MODELS))
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> _Subject:
    return _Subject(_MODELS[request.param](), tmp_path)


def test_what_was_not_changed_passes(subject: _Subject) -> None:
    parity = subject.prove()
    assert parity.max_error <= parity.tolerance
    assert parity.rows > 1000


def test_a_changed_leaf_is_caught(subject: _Subject) -> None:
    # Far, because binary:hinge answers only the sign of the sum.
    subject.change("leaf_value", LEAF, lambda leaf: leaf - 1000)
    with pytest.raises(ProofError, match="the proof failed: on one of"):
        subject.prove()


def test_missing_values_sent_the_other_way_are_caught(tmp_path: Path) -> None:
    subject = _Subject(train("reg:squarederror"), tmp_path)
    subject.change("default_left", NUMERICAL, lambda left: 1 - left)
    with pytest.raises(ProofError):
        subject.prove()


@pytest.mark.parametrize("towards", [np.inf, -np.inf])
def test_a_threshold_one_bit_off_is_caught(tmp_path: Path, towards: float) -> None:
    subject = _Subject(train("reg:squarederror"), tmp_path)
    subject.change("threshold", NUMERICAL, lambda value: np.nextafter(value, np.float32(towards)))
    with pytest.raises(ProofError):
        subject.prove()


def test_less_or_equal_in_place_of_less_is_caught(tmp_path: Path) -> None:
    subject = _Subject(train("binary:logistic"), tmp_path)
    subject.change("cmp", NUMERICAL, lambda _: 3)
    with pytest.raises(ProofError):
        subject.prove()


def test_categories_that_go_the_wrong_way_are_caught(tmp_path: Path) -> None:
    subject = _Subject(categorical(), tmp_path)
    subject.change("category_list_right_child", CATEGORICAL, lambda _: 0)
    with pytest.raises(ProofError):
        subject.prove()


def test_a_category_too_many_is_caught(tmp_path: Path) -> None:
    subject = _Subject(categorical(max_cat_to_onehot=1), tmp_path)
    tree = subject.model.get_tree_accessor(0)
    listed = tree.get_field("category_list").copy()
    tree.set_field("category_list", np.full_like(listed, 11))
    with pytest.raises(ProofError):
        subject.prove()


@pytest.mark.parametrize(
    ("objective", "step"), [("reg:squarederror", 1e-4), ("binary:logistic", 1e-3), ("multi:softprob", 1e-3)]
)
def test_a_base_score_that_is_slightly_off_is_caught(tmp_path: Path, objective: str, step: float) -> None:
    subject = _Subject(train(objective), tmp_path)
    header = subject.model.get_header_accessor()
    scores = np.array(header.get_field("base_scores"))
    scores[0] += step
    header.set_field("base_scores", scores)
    with pytest.raises(ProofError):
        subject.prove()


def test_another_link_is_caught(tmp_path: Path) -> None:
    subject = _Subject(train("binary:logistic"), tmp_path)
    subject.model.get_header_accessor().set_field("postprocessor", "identity")
    with pytest.raises(ProofError):
        subject.prove()


def test_classes_that_changed_places_are_caught(tmp_path: Path) -> None:
    subject = _Subject(train("multi:softprob"), tmp_path)
    header = subject.model.get_header_accessor()
    header.set_field("class_id", np.roll(np.array(header.get_field("class_id")), 1))
    with pytest.raises(ProofError):
        subject.prove()


def test_a_missing_tree_is_caught(tmp_path: Path) -> None:
    booster = train("reg:squarederror", rounds=5)
    described = describe_booster(booster)
    forest = convert(booster, described).forest
    write_checkpoint(convert(booster[:4], describe_booster(booster[:4])).model, tmp_path / "checkpoint.tl")
    with pytest.raises(ProofError):
        prove(tmp_path / "checkpoint.tl", booster, described, proof_rows(forest, described.features))


def test_the_checkpoint_is_read_back_from_the_disk(tmp_path: Path) -> None:
    subject = _Subject(train("reg:squarederror"), tmp_path)
    subject.prove()
    booster = train("reg:squarederror", rounds=3)
    with pytest.raises(ProofError):
        prove(tmp_path / "checkpoint.tl", booster, describe_booster(booster), np.zeros((4, 6), np.float32))


def test_a_checkpoint_of_another_width_is_never_asked(tmp_path: Path) -> None:
    subject = _Subject(categorical(), tmp_path)
    subject.prove()
    assert treelite.Model.deserialize(tmp_path / "checkpoint.tl").num_feature == 4
    booster = train("reg:squarederror")
    with pytest.raises(ValueError, match="the checkpoint has 4 features, the booster 6"):
        prove(tmp_path / "checkpoint.tl", booster, describe_booster(booster), np.zeros((4, 6), np.float32))


_ANSWERS = arrays(np.float32, (5, 2), elements=st.floats(-1e6, 1e6, width=32))


@given(_ANSWERS, st.sampled_from(Measure))
def test_equal_answers_have_no_error(answers: Floats, measure: Measure) -> None:
    assert compare(answers, answers.copy(), measure).max_error == 0.0


@given(_ANSWERS, st.integers(0, 4), st.integers(0, 1), st.sampled_from([1.1, -1.1, 5.0]))
def test_one_wrong_answer_among_many_fails(answers: Floats, row: int, column: int, off: float) -> None:
    wrong = answers.astype(np.float64)
    wrong[row, column] += off * (TOLERANCES[Measure.ABSOLUTE] + abs(wrong[row, column]) * 1e-3)
    with pytest.raises(ProofError, match="1 rows are wrong"):
        compare(answers, wrong.astype(np.float32), Measure.ABSOLUTE)


@pytest.mark.parametrize(("wanted", "served"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (1.0, -np.inf)])
@pytest.mark.parametrize("measure", Measure)
def test_an_answer_of_another_nature_fails(wanted: float, served: float, measure: Measure) -> None:
    with pytest.raises(ProofError):
        compare(np.array([[wanted]], np.float32), np.array([[served]], np.float32), measure)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_the_same_answer_passes_whatever_it_is(value: float) -> None:
    answers = np.array([[value]], np.float32)
    assert compare(answers, answers, Measure.RELATIVE).max_error == 0.0


@pytest.mark.parametrize(("wanted", "served"), [(1e-9, 1.01e-9), (0.0, 1e-30)])
def test_a_relative_error_is_counted_against_a_small_answer(wanted: float, served: float) -> None:
    with pytest.raises(ProofError):
        compare(np.array([[wanted]], np.float32), np.array([[served]], np.float32), Measure.RELATIVE)
