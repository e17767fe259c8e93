"""The proof: a checkpoint must answer as XGBoost does, or nothing of it is published."""

from pathlib import Path

import numpy as np
import xgboost

from tools.catalog.manifest import Parity
from tools.compile.booster import xgboost_answers
from tools.compile.checkpoint import checkpoint_answers
from tools.compile.described import Described, Floats
from tools.compile.errors import ProofError
from tools.compile.objectives import Measure

TOLERANCES = {Measure.ABSOLUTE: 1e-5, Measure.RELATIVE: 1e-6}


def prove(checkpoint: Path, booster: xgboost.Booster, described: Described, rows: Floats) -> Parity:
    """Compare the checkpoint, read from the disk, with XGBoost on `rows`.

    Raises:
        ProofError: an answer differs by more than the tolerance.
    """
    wanted = xgboost_answers(booster, described, rows)
    served = checkpoint_answers(checkpoint, described, rows)
    return compare(wanted, served, described.serving.measure)


def compare(wanted: Floats, served: Floats, measure: Measure) -> Parity:
    """How far `served` is from `wanted`; both are (rows, outputs).

    A relative error is counted against XGBoost's own answer, however small that is: because both sides take the
    same steps in float32 (`checkpoint.py`), sums that cancel to almost nothing still agree.

    Raises:
        ProofError: an answer differs by more than the tolerance of `measure`.
    """
    errors = _errors(wanted, served, measure)
    row, column = np.unravel_index(int(np.argmax(errors)), errors.shape)
    worst, tolerance = float(errors[row, column]), TOLERANCES[measure]
    if not worst <= tolerance:
        raise ProofError(
            f"the proof failed: on one of {len(wanted)} rows XGBoost answers {wanted[row, column]!s} and the "
            f"checkpoint {served[row, column]!s}, a {measure.value} error of {worst:.3g} where {tolerance:g} is "
            f"allowed; {int(np.sum(np.any(errors > tolerance, axis=1)))} rows are wrong"
        )
    return Parity(rows=len(wanted), max_error=worst, tolerance=tolerance, measure=measure.value)


def _errors(wanted: Floats, served: Floats, measure: Measure) -> Floats:
    # Equal answers have no error even where they are infinite, zero or not a number.
    same = (wanted == served) | (np.isnan(wanted) & np.isnan(served))
    exact, got = wanted.astype(np.float64), served.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        errors = np.abs(got - exact)
        if measure is Measure.RELATIVE:
            errors = errors / np.abs(exact)
    return np.where(same, 0.0, np.where(np.isnan(errors), np.inf, errors))
