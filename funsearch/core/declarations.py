"""Checks the class attributes by which a problem evaluator declares its problem. Knows nothing about files."""

import math
from collections.abc import Mapping

from funsearch.core.problem import ProblemEvaluator
from funsearch.core.records import Limits
from funsearch.errors import ProblemError


def check_declarations(evaluator: ProblemEvaluator, name: str) -> None:
    """Refuses invalid class attributes of an evaluator."""
    for attribute in ("inputs", "selection", "heldout", "baselines"):
        value = getattr(evaluator, attribute)
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ProblemError(f"`{attribute}` of {name} is {value!r:.80}: make it a dict with string keys.")
    for attribute, choices in {"reduction": ("last", "mean"), "partial": ("reject", "keep")}.items():
        value = getattr(evaluator, attribute)
        if value not in choices:
            raise ProblemError(f"`{attribute}` of {name} is {value!r}: make it {' or '.join(map(repr, choices))}.")
    for key, threshold in _thresholds(evaluator, name).items():
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not math.isfinite(threshold):
            raise ProblemError(f"`thresholds` of {name} has {threshold!r:.80} for {key}: make it a number.")
        if key not in list(evaluator.inputs)[:-1]:
            raise ProblemError(
                f"`thresholds` of {name} has the key {key!s:.80}, which is not an input followed by others: use "
                f"{' or '.join(list(evaluator.inputs)[:-1]) or 'at least two inputs'}."
            )
    if not isinstance(evaluator.limits, Limits):
        raise ProblemError(f"`limits` of {name} is {evaluator.limits!r:.80}: make it funsearch.Limits(...).")


def _thresholds(evaluator: ProblemEvaluator, name: str) -> Mapping[object, object]:
    value: object = evaluator.thresholds
    if not isinstance(value, Mapping):
        raise ProblemError(f"`thresholds` of {name} is {value!r:.80}: make it a dict of scores by input.")
    return value
