"""The Ray actors of a search: one sampler or one evaluator each. They know nothing about each other."""

import threading
from collections.abc import Sequence
from typing import Protocol

from funsearch.cluster.evaluation_queue import EvaluationQueue, ExchangeResult
from funsearch.cluster.handles import Actor, Method, here
from funsearch.core.completions import Completion, Request, SamplerStats
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import Sampler
from funsearch.core.records import Function, Limits
from funsearch.loading import ProblemSource, load
from funsearch.sandbox import open_sandbox
from funsearch.settings.samplers import make_sampler
from funsearch.settings.search import Settings


class SamplerHandle(Actor, Protocol):
    """A handle of a `SamplerActor`."""

    @property
    def complete(self) -> Method[[Sequence[Request]], list[list[Completion]]]: ...

    @property
    def stats(self) -> Method[[], SamplerStats | None]: ...

    @property
    def close(self) -> Method[[], None]: ...


class EvaluatorHandle(Actor, Protocol):
    """A handle of an `EvaluatorActor`."""

    @property
    def exchange(self) -> Method[[Sequence[tuple[int, Function]], float | None, float], ExchangeResult]: ...


class SamplerActor:
    """Holds one sampler. Its methods may run in several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sampler: Sampler | None = None
        self._lock = threading.Lock()

    def start(self) -> str:
        """Loads the model; returns the node.

        Raises:
            SamplerError: the model cannot be loaded.
        """
        self._loaded()
        return here()

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request. See `Sampler.complete`."""
        return self._loaded().complete(requests)

    def close(self) -> None:
        """Ends the sampler's own processes."""
        if self._sampler is not None:
            self._sampler.close()

    def stats(self) -> SamplerStats | None:
        """Returns the sampler's statistics; None if it keeps no queue or is not loaded yet."""
        return self._sampler.stats() if self._sampler is not None else None

    def _loaded(self) -> Sampler:
        with self._lock:
            if self._sampler is None:
                self._sampler = make_sampler(self._settings)
            return self._sampler


class EvaluatorActor:
    """Holds one evaluator with its sandbox, behind a queue."""

    def __init__(self, source: ProblemSource, limits: Limits, level: str) -> None:
        self._queue = EvaluationQueue(lambda: make_evaluator(source, limits, level))

    def start(self) -> str:
        """Loads the problem and opens the sandbox; returns the node.

        Raises:
            FunsearchError: either fails.
        """
        self._queue.start()
        return here()

    def exchange(self, functions: Sequence[tuple[int, Function]], best: float | None, seconds: float) -> ExchangeResult:
        """Takes in functions and returns outcomes. See `EvaluationQueue.exchange`."""
        return self._queue.exchange(functions, best, seconds)


def make_evaluator(source: ProblemSource, limits: Limits, level: str) -> Evaluator:
    """Returns an evaluator of the problem at one level of confinement.

    Raises:
        SandboxError: the level is not available on this machine.
    """
    problem = load(source)
    sandbox = open_sandbox("auto" if level == "none" else level, unsafe=level == "none")
    return problem.scorer(sandbox, limits=limits)
