"""Where one evaluator works: functions come in, one thread scores them in turn, what is done is fetched in groups.

Fetching in groups shares the cost of a remote call among many outcomes; whoever waits behind a long evaluation is
handed back, to be evaluated elsewhere. Knows nothing about Ray.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from funsearch.core.evaluator import Outcome
from funsearch.core.records import Function


class Scorer(Protocol):
    """Scores functions as `funsearch.core.evaluator.Evaluator` does. Used by one thread."""

    def score_confirmed(self, function: Function, best: float | None) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What comes back from a bench."""

    outcomes: tuple[tuple[int, Outcome], ...]
    """In the order in which they were given, each with the number that its function came with."""
    back: tuple[int, ...] = ()
    """Numbers of functions that nobody has begun with and that are not here any more."""


class Bench:
    """One scorer and what waits for it."""

    def __init__(self, make: Callable[[], Scorer]) -> None:
        """Begins to make the scorer."""
        self._make = make
        self._change = threading.Condition()
        self._queue: deque[tuple[int, Function]] = deque()
        self._done: list[tuple[int, Outcome]] = []
        self._best: float | None = None
        self._busy = True
        self._failure: Exception | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def start(self) -> None:
        """Returns once the scorer is ready.

        Raises:
            FunsearchError: it cannot be made.
        """
        with self._change:
            self._change.wait_for(lambda: self._failure or not self._busy)
            if self._failure:
                raise self._failure

    def exchange(self, work: Sequence[tuple[int, Function]], best: float | None, seconds: float) -> Delivery:
        """Takes in functions with their numbers and returns what is done: all of it, or what there is after `seconds`.

        When there is nothing yet, all that has not been begun with is handed back; when nothing is left to hand back
        either, waits for the one at work.

        Raises:
            FunsearchError: the scorer itself failed.
        """
        deadline = time.monotonic() + seconds
        with self._change:
            self._queue.extend(work)
            self._best = best
            self._change.notify_all()
            while (self._queue or self._busy) and not self._failure:
                left = deadline - time.monotonic()
                if left <= 0 and (self._done or (self._queue and self._busy)):
                    break
                self._change.wait(left if left > 0 else None)
            if self._failure:
                raise self._failure
            done, self._done = self._done, []
            back = [] if done else [number for number, _ in self._queue]
            if back:
                self._queue.clear()
        return Delivery(tuple(done), tuple(back))

    def _work(self) -> None:
        try:
            scorer = self._make()
            while True:
                number, function = self._next()
                outcome = scorer.score_confirmed(function, self._best)
                with self._change:
                    self._done.append((number, outcome))
        # Raised again where somebody waits for the outcome.
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
