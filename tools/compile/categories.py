"""The category names that XGBoost 3.1 and later keep in a model trained from a data frame.

A tensor holds numbers, so a served model is asked with the codes of the categories: their positions in the model's
own list, which is what its trees compare. treelite refuses a model that has such a list, so it is taken out, and a
note tells people what the codes mean.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

_NAMES_SHOWN = 20
_FEATURES_SHOWN = 50


def take_categories(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Empty the list of categories of a decoded model, in place.

    Returns:
        A note for each feature that had any, naming the code of each category.
    """
    learner = document["learner"]
    booster = learner["gradient_booster"]
    model = booster.get("gbtree", booster)["model"]
    encodings = model.get("cats", {}).get("enc", [])
    model["cats"] = {"enc": [], "feature_segments": [], "sorted_idx": []}
    names = learner.get("feature_names") or [str(number) for number in range(len(encodings))]
    notes = [_note(name, list(_categories(encoding))) for name, encoding in zip(names, encodings, strict=False)]
    return tuple(note for note in notes if note)[:_FEATURES_SHOWN]


def _note(feature: str, categories: list[str]) -> str:
    if not categories:
        return ""
    shown = ", ".join(f"{code} for {name}" for code, name in enumerate(categories[:_NAMES_SHOWN]))
    more = f", … {len(categories)} in all" if len(categories) > _NAMES_SHOWN else ""
    return f"feature {feature!r} is a category, asked for by its code: {shown}{more}"


def _categories(encoding: Mapping[str, Any]) -> Iterator[str]:
    values = encoding["values"]
    if "offsets" not in encoding:
        yield from map(str, values)
        return
    # Strings are UTF-8, one after the other; the values may be signed bytes.
    text = bytes(value % 256 for value in values)
    for start, end in pairwise(encoding["offsets"]):
        yield text[start:end].decode("utf-8", "replace")
