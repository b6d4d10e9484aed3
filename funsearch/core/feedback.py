"""Reads what a problem's `evaluate` returned: a score, or a score with notes and artifacts.

Knows nothing about which program it is about, nor where feedback goes.
"""

import json
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from funsearch.core.ports import CandidateFailure
from funsearch.core.problem import Result
from funsearch.core.records import Feedback, Status

MOST_NOTES = 4096
"""Characters of notes that are kept of one input."""
MOST_ARTIFACT = 65536
"""Characters, as JSON, of an artifact that is kept: a million evaluations are stored."""


def read_result(returned: Any) -> tuple[float, Feedback | None]:
    """Returns the score, and the feedback if there is any.

    Raises:
        CandidateFailure: BAD_SCORE, for a score that is no finite real number.
        TypeError: the notes are no text, or an artifact is no plain data (the evaluator's fault).
    """
    if not isinstance(returned, Result):
        return finite_score(returned), None
    score = finite_score(returned.score)
    if not isinstance(returned.notes, str):
        raise TypeError(f"the notes of a Result are a text, not {returned.notes!r:.80}")
    if not isinstance(returned.artifacts, Mapping) or not all(isinstance(name, str) for name in returned.artifacts):
        raise TypeError(f"the artifacts of a Result are a dict with names for keys, not {returned.artifacts!r:.80}")
    artifacts = {name: _artifact(name, value) for name, value in returned.artifacts.items()}
    if not returned.notes and not artifacts:
        return score, None
    return score, Feedback(returned.notes[:MOST_NOTES], artifacts)


def finite_score(value: Any) -> float:
    """Returns a score as a float.

    Raises:
        CandidateFailure: BAD_SCORE, for anything but a finite real number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise CandidateFailure(Status.BAD_SCORE, f"not a number: {value!r:.100}")
    try:
        score = float(value)
    except OverflowError:
        raise CandidateFailure(Status.BAD_SCORE, "too large for a float") from None
    if not math.isfinite(score):
        raise CandidateFailure(Status.BAD_SCORE, f"not finite: {value!r:.100}")
    return score


def _artifact(name: str, value: Any) -> Any:
    """Returns an artifact as JSON gives it back; one that is too large is replaced by a text that says so."""
    try:
        text = json.dumps(value, default=_as_list, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the artifact {name} is no plain finite data: {error}") from None
    return json.loads(text) if len(text) <= MOST_ARTIFACT else f"(left out: {len(text):,} characters)"


def _as_list(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} in it")
