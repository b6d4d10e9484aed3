"""An evaluator that sleeps instead of evaluating, to measure the overhead of the code around evaluators."""

import time
import zlib

from funsearch.core.evaluator import Outcome
from funsearch.core.records import Function, Status


class SleepingEvaluator:
    """Sleeps instead of evaluating. Scores are pseudo-random, but determined by the text of the function."""

    def __init__(self, seconds: float, inputs: tuple[str, ...]) -> None:
        """Sleeps `seconds` for each function, and returns a score on each of `inputs`."""
        self._seconds = seconds
        self._inputs = inputs

    def score_confirmed(self, function: Function, best: float | None) -> Outcome:
        """Returns the outcome of a function after sleeping."""
        time.sleep(self._seconds)
        score = zlib.crc32(function.body.encode()) / 2**32
        return Outcome(status=Status.OK, scores=dict.fromkeys(self._inputs, score), score=score, seconds=self._seconds)

    def close(self) -> None:
        """Does nothing."""
