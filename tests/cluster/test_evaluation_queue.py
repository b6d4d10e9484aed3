"""An evaluation queue: outcomes are fetched in groups, and no function waits behind a long evaluation."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from funsearch.cluster.evaluation_queue import EvaluationQueue
from funsearch.core.evaluator import Outcome
from funsearch.core.records import Function, Status
from funsearch.errors import SandboxError


class Gate:
    """Evaluates the function `long` once it is open, every other function at once."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def score_confirmed(self, function: Function, best: float | None) -> Outcome:
        if function.body == "long":
            self.open.wait(30)
        return Outcome(status=Status.OK, score=best, error=function.body)


def functions(*bodies: str) -> list[tuple[int, Function]]:
    return [(number, Function(body)) for number, body in enumerate(bodies)]


def test_all_outcomes_are_fetched_together() -> None:
    queue = EvaluationQueue(Gate)
    queue.start()
    result = queue.exchange(functions("a", "b", "c"), 1.5, seconds=30)
    assert [(number, outcome.error) for number, outcome in result.outcomes] == [(0, "a"), (1, "b"), (2, "c")]
    assert {outcome.score for _, outcome in result.outcomes} == {1.5}
    assert queue.exchange([], None, seconds=30).outcomes == ()


def test_functions_behind_a_long_evaluation_are_returned() -> None:
    gate = Gate()
    queue = EvaluationQueue(lambda: gate)
    first = queue.exchange(functions("a", "long", "b", "c"), None, seconds=0.05)
    assert [number for number, _ in first.outcomes] == [0]
    second = queue.exchange([], None, seconds=0.05)
    assert (second.outcomes, second.returned) == ((), (2, 3))
    with ThreadPoolExecutor(1) as other:
        third = other.submit(queue.exchange, [], None, 0.0)
        time.sleep(0.05)
        assert not third.done()
        gate.open.set()
        assert [number for number, _ in third.result().outcomes] == [1]


def test_every_call_reports_that_the_evaluator_cannot_be_made() -> None:
    def fail() -> Gate:
        raise SandboxError("no sandbox here")

    queue = EvaluationQueue(fail)
    with pytest.raises(SandboxError, match="no sandbox here"):
        queue.start()
    with pytest.raises(SandboxError, match="no sandbox here"):
        queue.exchange(functions("a"), None, seconds=1)
