"""Ray actors around the plain sampler and evaluator. They are thin and know nobody."""

import threading
from collections.abc import Sequence

import ray

from funsearch.cluster.evaluation_queue import Bench, Delivery
from funsearch.core.completions import Completion, Request, SamplerStats
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import Sampler
from funsearch.core.records import Function, Limits
from funsearch.loading import ProblemSource, load
from funsearch.sandbox import open_sandbox
from funsearch.settings.samplers import make_sampler
from funsearch.settings.search import Settings


class SamplerActor:
    """Holds one sampler, made at the first call so that what fails says why."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sampler: Sampler | None = None
        self._lock = threading.Lock()

    def start(self) -> str:
        """Loads the model; returns the node."""
        self._get()
        return here()

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request. See `Sampler.complete`."""
        return self._get().complete(requests)

    def close(self) -> None:
        """Ends the sampler's own processes."""
        if self._sampler is not None:
            self._sampler.close()

    def stats(self) -> SamplerStats | None:
        """Returns what the sampler reports of its queue; None if it keeps none or is not loaded yet."""
        return self._sampler.stats() if self._sampler is not None else None

    def _get(self) -> Sampler:
        with self._lock:
            if self._sampler is None:
                self._sampler = make_sampler(self._settings)
            return self._sampler


class EvaluatorActor:
    """Holds one evaluator with its sandbox, and the bench it works at."""

    def __init__(self, source: ProblemSource, limits: Limits, level: str) -> None:
        self._bench = Bench(lambda: make_evaluator(source, limits, level))

    def start(self) -> str:
        """Loads problem and sandbox; returns the node."""
        self._bench.start()
        return here()

    def exchange(self, work: Sequence[tuple[int, Function]], best: float | None, seconds: float) -> Delivery:
        """Takes in functions, returns outcomes. See `Bench.exchange`."""
        return self._bench.exchange(work, best, seconds)


def make_evaluator(source: ProblemSource, limits: Limits, level: str) -> Evaluator:
    """Returns an evaluator of the problem at one level of confinement.

    Raises:
        SandboxError: the level cannot be had on this machine.
    """
    problem = load(source)
    sandbox = open_sandbox("auto" if level == "none" else level, unsafe=level == "none")
    return problem.scorer(sandbox, limits=limits)


def here() -> str:
    """Returns the node this process runs on."""
    return str(ray.get_runtime_context().get_node_id())
