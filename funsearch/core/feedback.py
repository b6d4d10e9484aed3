"""Validates what a problem's `evaluate` returned: a score, or a `Result` with a score, notes and artifacts.

Knows nothing about the program that was evaluated, nor how feedback is stored or shown.
"""

import json
import math
import numbers
from collections.abc import Mapping

import numpy as np

from funsearch.core.ports import CandidateFailure
from funsearch.core.problem import Result
from funsearch.core.records import Feedback, Json, Status

MAX_NOTES = 4096
"""Characters of the notes on one input; longer notes are cut off."""
MAX_ARTIFACT = 65536
"""Characters of an artifact as JSON; larger ones are not stored, because a run may have a million evaluations."""


def read_result(returned: object) -> tuple[float, Feedback | None]:
    """Returns the score, and the feedback if there is any.

    Raises:
        CandidateFailure: the score is not a finite real number; status BAD_SCORE.
        TypeError: the notes are not a string, or an artifact is not plain data, which is an error in the evaluator.
    """
    if not isinstance(returned, Result):
        return finite_score(returned), None
    score = finite_score(returned.score)
    if not isinstance(returned.notes, str):
        raise TypeError(f"the notes of a Result must be a string, not {returned.notes!r:.80}")
    if not isinstance(returned.artifacts, Mapping) or not all(isinstance(name, str) for name in returned.artifacts):
        raise TypeError(f"the artifacts of a Result must be a dict with string keys, not {returned.artifacts!r:.80}")
    artifacts = {name: _artifact(name, value) for name, value in returned.artifacts.items()}
    if not returned.notes and not artifacts:
        return score, None
    return score, Feedback(returned.notes[:MAX_NOTES], artifacts)


def finite_score(value: object) -> float:
    """Returns a score as a float.

    Raises:
        CandidateFailure: the value is not a finite real number; status BAD_SCORE.
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


def _artifact(name: str, value: object) -> Json:
    """Returns an artifact as JSON data; an artifact that is too large is replaced by a note with its size."""
    try:
        text = json.dumps(value, default=_as_list, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"the artifact {name} is not plain, finite data: {error}") from None
    if len(text) > MAX_ARTIFACT:
        return f"(omitted: {len(text):,} characters)"
    artifact: Json = json.loads(text)
    return artifact


def _as_list(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return value.tolist()
    raise TypeError(f"it contains a {type(value).__name__}")
