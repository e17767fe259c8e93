"""From a booster to the treelite checkpoint that FIL serves, and back from the disk.

Two things are changed on the way, and neither changes an answer.

The base score goes into the leaves of each group's first tree. XGBoost starts from the base score and adds tree
after tree; treelite and FIL add the trees first and the base score last, which in float32 is another number (2e-6
relative on 300 trees around a mean of 200,000). With the base score in the first tree, both take the same steps
and a row's sums are the same bits.

The trees of a multi-class forest are dealt out class by class. XGBoost writes the `num_parallel_tree` trees of a
class beside each other; FIL insists that tree i belongs to class i modulo the classes.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import treelite
import xgboost
from numpy.typing import NDArray

from tools.compile.categories import take_categories
from tools.compile.described import Described, Floats, base_margins
from tools.compile.errors import RefusedError
from tools.compile.forest import Tree, add_to_leaves, read_forest, sound_tree, write_forest


@dataclass(frozen=True, slots=True)
class Converted:
    """A treelite model, the trees in it, and what was found on the way that its users should know."""

    model: treelite.Model
    forest: list[Tree]
    notes: tuple[str, ...]


def convert(booster: xgboost.Booster, described: Described) -> Converted:
    """The rounds of `booster` that are served, as FIL wants them.

    Raises:
        RefusedError: treelite cannot read it, or its trees cannot be served.
    """
    served = booster if described.served_rounds == described.rounds else booster[: described.served_rounds]
    try:
        model, notes = _treelite_model(served)
    except treelite.TreeliteError as error:
        raise RefusedError(f"treelite {treelite.__version__} cannot read the model: {str(error)[:300]}") from None
    header = model.get_header_accessor()
    if np.prod(np.asarray(header.get_field("leaf_vector_shape"))) != 1:
        raise RefusedError(
            "the trees have a vector in each leaf (multi_strategy='multi_output_tree'), which FIL cannot serve: "
            "train with multi_strategy='one_output_per_tree'"
        )
    group_of_tree = np.array(header.get_field("class_id"))
    order = tree_order(group_of_tree, described.groups)
    forest = [sound_tree(tree, described.features) for tree in read_forest(model)]
    forest = [forest[index] for index in order]
    for group, margin in enumerate(base_margins(described)):
        forest[group] = add_to_leaves(forest[group], margin)
    write_forest(model, forest)
    header.set_field("class_id", group_of_tree[order])
    header.set_field("base_scores", np.zeros(described.groups))
    header.set_field("postprocessor", described.serving.link.value)
    return Converted(model, forest, notes)


def tree_order(group_of_tree: NDArray[np.int32], groups: int) -> NDArray[np.int64]:
    """The order in which tree i belongs to group i modulo `groups`, and each group keeps its own order.

    Raises:
        RefusedError: the groups do not all have the same number of trees.
    """
    of_group = [np.flatnonzero(group_of_tree == group) for group in range(groups)]
    if len({len(trees) for trees in of_group}) != 1 or sum(map(len, of_group)) != len(group_of_tree):
        raise RefusedError("the model is damaged: its classes do not have the same number of trees")
    return np.stack(of_group, axis=1).ravel()


def _treelite_model(booster: xgboost.Booster) -> tuple[treelite.Model, tuple[str, ...]]:
    if "c" not in (booster.feature_types or []):
        return treelite.frontend.from_xgboost(booster), ()
    document = json.loads(booster.save_raw("json"))
    notes = take_categories(document)
    return treelite.frontend.from_xgboost_json(json.dumps(document)), notes


def write_checkpoint(model: treelite.Model, path: Path) -> None:
    """Write `model` to `path`."""
    model.serialize(path)


def checkpoint_answers(path: Path, described: Described, rows: Floats) -> Floats:
    """What the checkpoint on disk answers for `rows`, as FIL does on a CPU: an array (rows, outputs).

    FIL's default CPU path is treelite's own GTIL, and it makes the two columns of a binary classifier from GTIL's
    one, as is done here.

    Raises:
        RefusedError: the checkpoint's features or groups are not the booster's.
    """
    model = treelite.Model.deserialize(path)
    if model.num_feature != described.features:
        raise RefusedError(f"the checkpoint has {model.num_feature} features, the booster {described.features}")
    answers = treelite.gtil.predict(model, rows, nthread=1)
    if answers.shape != (len(rows), 1, described.groups):
        raise RefusedError(f"the checkpoint answers {answers.shape[1:]} per row, the booster {described.groups}")
    flat: Floats = answers[:, 0, :]
    return np.hstack([np.float32(1) - flat, flat]) if described.outputs > described.groups else flat
