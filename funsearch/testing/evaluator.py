"""An evaluator that only sleeps, for benchmarks of the parts around evaluators."""

import time
import zlib

from funsearch.core.evaluator import Verdict
from funsearch.core.records import Function, Status


class SleepingEvaluator:
    """Sleeps instead of evaluating; the score is a hash of the function's text, so it is the same every time."""

    def __init__(self, seconds: float, inputs: tuple[str, ...]) -> None:
        """Makes an evaluator.

        Args:
            seconds: to sleep for each function.
            inputs: names of the inputs to report scores for.
        """
        self._seconds = seconds
        self._inputs = inputs

    def judge(self, function: Function, best: float | None) -> Verdict:
        """Returns the same score on every input, after sleeping."""
        time.sleep(self._seconds)
        score = zlib.crc32(function.body.encode()) / 2**32
        return Verdict(Status.OK, dict.fromkeys(self._inputs, score), score, seconds=self._seconds)

    def close(self) -> None:
        """Does nothing."""
