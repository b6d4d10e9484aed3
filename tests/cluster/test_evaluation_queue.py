"""A bench: what is done comes back in groups, and nobody waits behind a long evaluation."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from funsearch.cluster.evaluation_queue import Bench
from funsearch.core.evaluator import Outcome
from funsearch.core.records import Function, Status
from funsearch.errors import SandboxError


class Gate:
    """Judges what says `long` when it is let, everything else at once."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def score_confirmed(self, function: Function, best: float | None) -> Outcome:
        if function.body == "long":
            self.open.wait(30)
        return Outcome(Status.OK, score=best, error=function.body)


def functions(*bodies: str) -> list[tuple[int, Function]]:
    return [(number, Function(body)) for number, body in enumerate(bodies)]


def test_everything_done_comes_back_at_once() -> None:
    bench = Bench(Gate)
    bench.start()
    delivery = bench.exchange(functions("a", "b", "c"), 1.5, seconds=30)
    assert [(number, outcome.error) for number, outcome in delivery.outcomes] == [(0, "a"), (1, "b"), (2, "c")]
    assert {outcome.score for _, outcome in delivery.outcomes} == {1.5}
    assert bench.exchange([], None, seconds=30).outcomes == ()


def test_what_waits_behind_a_long_evaluation_is_handed_back() -> None:
    gate = Gate()
    bench = Bench(lambda: gate)
    first = bench.exchange(functions("a", "long", "b", "c"), None, seconds=0.05)
    assert [number for number, _ in first.outcomes] == [0]
    second = bench.exchange([], None, seconds=0.05)
    assert (second.outcomes, second.back) == ((), (2, 3))
    with ThreadPoolExecutor(1) as other:
        third = other.submit(bench.exchange, [], None, 0.0)
        time.sleep(0.05)
        assert not third.done()
        gate.open.set()
        assert [number for number, _ in third.result().outcomes] == [1]


def test_judge_that_cannot_be_made_is_reported_by_every_call() -> None:
    def fail() -> Gate:
        raise SandboxError("no sandbox here")

    bench = Bench(fail)
    with pytest.raises(SandboxError, match="no sandbox here"):
        bench.start()
    with pytest.raises(SandboxError, match="no sandbox here"):
        bench.exchange(functions("a"), None, seconds=1)
