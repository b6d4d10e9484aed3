"""An evaluator that only takes its time, for measuring what stands around evaluators."""

import time
import zlib

from funsearch.core.evaluator import Outcome
from funsearch.core.records import Function, Status


class SleepingEvaluator:
    """Sleeps instead of evaluating; the score is drawn from the function's text, so it is the same every time."""

    def __init__(self, seconds: float, inputs: tuple[str, ...]) -> None:
        """Sleeps for `seconds` for each function, and scores it on every one of `inputs`."""
        self._seconds = seconds
        self._inputs = inputs

    def score_confirmed(self, function: Function, best: float | None) -> Outcome:
        """Returns an outcome like that of an evaluator whose problem takes so long."""
        time.sleep(self._seconds)
        score = zlib.crc32(function.body.encode()) / 2**32
        return Outcome(Status.OK, dict.fromkeys(self._inputs, score), score, seconds=self._seconds)

    def close(self) -> None:
        """Does nothing."""
