"""The queue of one evaluator: functions come in, one thread evaluates them in turn, outcomes are fetched in groups.

Fetching in groups shares the cost of a remote call among many outcomes. Functions that wait behind a long evaluation
are returned, to be evaluated elsewhere. Knows nothing about Ray.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from funsearch.core.evaluator import Outcome
from funsearch.core.records import Function


class FunctionEvaluator(Protocol):
    """Evaluates functions, as `funsearch.core.evaluator.Evaluator` does. Used by one thread."""

    def score_confirmed(self, function: Function, best: float | None) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class ExchangeResult:
    """What an exchange returns."""

    outcomes: tuple[tuple[int, Outcome], ...]
    """Outcomes in the order of evaluation, each with the number that its function came with."""
    returned: tuple[int, ...] = ()
    """Numbers of functions that were not begun and have left the queue."""


class EvaluationQueue:
    """One evaluator and the functions that wait for it."""

    def __init__(self, make: Callable[[], FunctionEvaluator]) -> None:
        """Begins to make the evaluator, in a thread of its own."""
        self._make = make
        self._change = threading.Condition()
        self._queue: deque[tuple[int, Function]] = deque()
        self._outcomes: list[tuple[int, Outcome]] = []
        self._best: float | None = None
        self._busy = True
        self._failure: Exception | None = None
        threading.Thread(target=self._evaluate, daemon=True).start()

    def start(self) -> None:
        """Returns once the evaluator is ready.

        Raises:
            FunsearchError: the evaluator cannot be made.
        """
        with self._change:
            self._change.wait_for(lambda: self._failure or not self._busy)
            if self._failure:
                raise self._failure

    def exchange(self, functions: Sequence[tuple[int, Function]], best: float | None, seconds: float) -> ExchangeResult:
        """Adds numbered functions to the queue and returns outcomes: all of them, or those there are after `seconds`.

        If there is no outcome by then, the functions that were not begun are returned; if there are none of those
        either, waits for the function being evaluated.

        Raises:
            FunsearchError: the evaluator itself failed.
        """
        deadline = time.monotonic() + seconds
        with self._change:
            self._queue.extend(functions)
            self._best = best
            self._change.notify_all()
            while (self._queue or self._busy) and not self._failure:
                remaining = deadline - time.monotonic()
                if remaining <= 0 and (self._outcomes or (self._queue and self._busy)):
                    break
                self._change.wait(remaining if remaining > 0 else None)
            if self._failure:
                raise self._failure
            outcomes, self._outcomes = self._outcomes, []
            returned = [] if outcomes else [number for number, _ in self._queue]
            if returned:
                self._queue.clear()
        return ExchangeResult(tuple(outcomes), tuple(returned))

    def _evaluate(self) -> None:
        """Evaluates the queue, in the thread of its own."""
        try:
            evaluator = self._make()
            while True:
                number, function = self._next()
                outcome = evaluator.score_confirmed(function, self._best)
                with self._change:
                    self._outcomes.append((number, outcome))
        # Raised again in the calls that wait for an outcome.
        except Exception as error:
            with self._change:
                self._failure = error
                self._change.notify_all()

    def _next(self) -> tuple[int, Function]:
        with self._change:
            self._busy = False
            self._change.notify_all()
            self._change.wait_for(lambda: self._queue)
            self._busy = True
            return self._queue.popleft()
