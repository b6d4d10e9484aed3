"""Ray actors around the plain sampler and evaluator, and the `Workers` that drives them.

The actors are thin and know nobody. One that dies is restarted by Ray, and its work is issued again; a program that
takes its evaluator down every time is given the verdict INFRA after three tries.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.core.evaluator import Evaluator, Verdict
from funsearch.core.ports import Sampler
from funsearch.core.records import Function, Limits, Prompt, Sample, Status
from funsearch.errors import ProblemError, SamplerError, SamplerExhausted
from funsearch.loading import ProblemSource, load
from funsearch.rest_em.ports import Request
from funsearch.rest_em.records import Answer, Policy
from funsearch.runtime.make import make_sampler
from funsearch.runtime.settings import Settings
from funsearch.runtime.workers import Answered, Exhausted, Judged, Result, Task
from funsearch.sandbox import open_sandbox

logger = logging.getLogger(__name__)

MAX_TRIES = 3
BATCH_SECONDS = 0.1
"""Tasks are sent together as long as they are expected to take no longer than this."""
LOOK_SECONDS = 0.25
"""How often the model's queue is looked at."""
CONFIRMED = 2
"""How often a program is evaluated at most: a new best one twice."""
BATCHES_AHEAD = 2
"""Batches with an evaluator at once: one at work, one waiting, so that it never idles."""


class SamplerActor:
    """Holds one sampler, made at the first call so that what fails says why."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sampler: Sampler | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Loads the model."""
        self._get()

    def sample(self, prompt: Prompt, at_most: int | None) -> Sequence[Sample]:
        return self._get().sample(prompt, at_most)

    def generate(self, requests: Sequence[Request], policy: Policy) -> list[Answer]:
        """Returns the answers of a policy, for a training."""
        sampler = self._get()
        if not hasattr(sampler, "generate"):
            raise SamplerError(
                f"The sampler {self._settings.samplers[0]} serves no policies: use vllm or transformers."
            )
        answers: list[Answer] = sampler.generate(requests, policy)
        return answers

    def close(self) -> None:
        """Ends the sampler's own processes."""
        if self._sampler is not None:
            self._sampler.close()

    def stats(self) -> Any:
        """Returns what the sampler says of its queue, None if it keeps none or is not loaded yet."""
        stats = getattr(self._sampler, "stats", None)
        return stats() if stats else None

    def _get(self) -> Sampler:
        with self._lock:
            if self._sampler is None:
                self._sampler = make_sampler(self._settings)
            return self._sampler


class EvaluatorActor:
    """Holds one evaluator with its sandbox."""

    def __init__(self, source: ProblemSource, limits: Limits, level: str) -> None:
        self._arguments = (source, limits, level)
        self._evaluator: Evaluator | None = None

    def evaluate(self, functions: Sequence[Function], best: float | None) -> list[Verdict]:
        if self._evaluator is None:
            source, limits, level = self._arguments
            problem = load(source)
            sandbox = open_sandbox("auto" if level == "none" else level, unsafe=level == "none")
            self._evaluator = Evaluator(
                problem.specification, problem.evaluator, sandbox, inputs=problem.inputs, limits=limits
            )
        return [self._evaluator.judge(function, best) for function in functions]


@dataclass(slots=True)
class _Slot:
    """An evaluator actor and how many batches it has."""

    actor: Any
    batches: int = 0
    since: float = 0.0
    """When it began with the first of them, by the clock that never goes back."""


@dataclass(slots=True)
class _Asked:
    prompt: Prompt
    at_most: int | None
    tries: int = 1


@dataclass(slots=True)
class _Batch:
    tasks: list[Task]
    slot: _Slot
    tries: int = 1


@dataclass(slots=True)
class _Queue:
    """Tasks that wait for an evaluator, with how often each has been tried."""

    fresh: deque[Task] = field(default_factory=deque)
    retries: deque[tuple[Task, int]] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self.fresh) + len(self.retries)

    def take(self, most: int) -> tuple[list[Task], int]:
        """Returns the next batch and which try it is; what failed before goes alone, to find the culprit."""
        if self.retries:
            task, tries = self.retries.popleft()
            return [task], tries
        return [self.fresh.popleft() for _ in range(min(most, len(self.fresh)))], 1


class RayWorkers:
    """Drives one sampler actor and a number of evaluator actors."""

    def __init__(
        self,
        source: ProblemSource,
        settings: Settings,
        limits: Limits,
        level: str,
        *,
        inputs: int = 1,
        on_cluster: bool = False,
    ) -> None:
        """Starts the actors.

        Args:
            source: the problem, which each evaluator loads for itself.
            settings: of the run.
            limits: of a candidate.
            level: of the sandbox.
            inputs: how many the problem has.
            on_cluster: whether Ray has more to do than this search.
        """
        self._source = source
        threads = settings.most_in_flight() + 2
        gpus = 1 if on_cluster_gpu(settings) else 0
        self._sampler = (
            ray.remote(SamplerActor)
            .options(num_cpus=0, num_gpus=gpus, max_concurrency=threads, max_restarts=-1)
            .remote(settings)
        )
        make = ray.remote(EvaluatorActor).options(num_cpus=1 if on_cluster else 0, max_restarts=-1)
        self._slots = [_Slot(make.remote(source, limits, level)) for _ in range(settings.evaluators)]
        self._pending: dict[Any, _Asked | _Batch | None] = {self._sampler.start.remote(): None}
        self._queue = _Queue()
        self._best: float | None = None
        self._look: Any = None
        self._looked = 0.0
        self._waiting: int | None = None
        self._patience = settings.evaluator_seconds + CONFIRMED * inputs * limits.seconds
        self._seconds = BATCH_SECONDS

    @property
    def asking(self) -> int:
        return sum(isinstance(work, _Asked) for work in self._pending.values())

    @property
    def evaluating(self) -> int:
        return len(self._queue) + sum(len(work.tasks) for work in self._pending.values() if isinstance(work, _Batch))

    @property
    def sampler_actor(self) -> Any:
        """Returns the handle of the sampler actor, for its `stats`."""
        return self._sampler

    @property
    def evaluator_actors(self) -> list[Any]:
        """Returns the handles of the evaluator actors."""
        return [slot.actor for slot in self._slots]

    def waiting(self) -> int | None:
        seen, self._waiting = self._waiting, None
        return seen

    def ask(self, prompt: Prompt, at_most: int | None = None) -> None:
        self._ask(_Asked(prompt, at_most))

    def evaluate(self, tasks: Sequence[Task], best: float | None) -> None:
        self._queue.fresh.extend(tasks)
        self._best = best
        self._feed()

    def wait(self, seconds: float) -> list[Result]:
        pending = list(self._pending)
        if not pending:
            return []
        done, _ = ray.wait(pending, num_returns=1, timeout=seconds, fetch_local=True)
        more, _ = ray.wait(pending, num_returns=len(pending), timeout=0, fetch_local=True)
        results: list[Result] = []
        for ref in dict.fromkeys([*done, *more]):
            results += self._collect(ref, self._pending.pop(ref))
        self._feed()
        self._look_at_queue()
        self._notice_hanging()
        return results

    def abandon_prompts(self) -> None:
        for ref in [ref for ref, work in self._pending.items() if isinstance(work, _Asked)]:
            del self._pending[ref]

    def close(self) -> None:
        for actor in (self._sampler, *self.evaluator_actors):
            ray.kill(actor)

    def _ask(self, asked: _Asked) -> None:
        self._pending[self._sampler.sample.remote(asked.prompt, asked.at_most)] = asked

    def _feed(self) -> None:
        """Gives each evaluator its next batches, those with the least to do first."""
        most = max(1, int(BATCH_SECONDS / max(self._seconds, 1e-4)))
        while len(self._queue):
            slot = min(self._slots, key=lambda slot: slot.batches)
            if slot.batches >= BATCHES_AHEAD:
                return
            tasks, tries = self._queue.take(most)
            if not slot.batches:
                slot.since = time.monotonic()
            slot.batches += 1
            ref = slot.actor.evaluate.remote([task.function for task in tasks], self._best)
            self._pending[ref] = _Batch(tasks, slot, tries)

    def _look_at_queue(self) -> None:
        """Keeps asking the sampler for the length of its queue, and never waits for the answer."""
        if self._look is None:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self._look, self._looked = self._sampler.stats.remote(), time.monotonic()
            return
        if ray.wait([self._look], timeout=0)[0]:
            with suppress(RayError):  # a sampler that dies is noticed by what it was asked for
                stats = ray.get(self._look)
                self._waiting = None if stats is None else stats.waiting
            self._look = None

    def _notice_hanging(self) -> None:
        """Raises when a problem's evaluator has long been back from its candidates, and does not come back itself."""
        for work in self._pending.values():
            if not isinstance(work, _Batch) or work.slot.batches == 0:
                continue
            taken = time.monotonic() - work.slot.since
            if taken > len(work.tasks) * self._patience:
                raise ProblemError(
                    f"The evaluator of {self._source.name} has not come back for {taken:.0f} s: its own code hangs, as "
                    "candidates are ended by their limits. If it needs so long, set evaluator_seconds higher."
                )

    def _collect(self, ref: Any, work: _Asked | _Batch | None) -> list[Result]:
        if isinstance(work, _Batch):
            work.slot.batches -= 1
            work.slot.since = time.monotonic()
        try:
            value = ray.get(ref)
        except RayTaskError as error:
            return self._failed(error.cause if isinstance(error.cause, Exception) else error, work)
        except RayError as error:
            return self._lost(error, work)
        if isinstance(work, _Asked):
            return [Answered(work.prompt, value)]
        if isinstance(work, _Batch):
            for verdict in value:
                self._seconds += 0.05 * (verdict.seconds - self._seconds)
            return [Judged(task, verdict) for task, verdict in zip(work.tasks, value, strict=True)]
        return []

    def _failed(self, cause: Exception, work: _Asked | _Batch | None) -> list[Result]:
        """Takes an exception out of an actor: the end of the answers, or of the search."""
        if isinstance(work, _Asked) and isinstance(cause, SamplerExhausted):
            return [Exhausted(work.prompt)]
        raise cause

    def _lost(self, error: RayError, work: _Asked | _Batch | None) -> list[Result]:
        """Issues the work of an actor that died again, or gives up on it."""
        if isinstance(work, _Batch):
            logger.warning("an evaluator died (%s); its %d programs are evaluated again", _line(error), len(work.tasks))
            if work.tries >= MAX_TRIES:
                verdict = Verdict(Status.INFRA, error=f"its evaluator died {work.tries} times")
                return [Judged(task, verdict) for task in work.tasks]
            self._queue.retries.extend((task, work.tries + 1) for task in work.tasks)
        elif isinstance(work, _Asked):
            if work.tries >= MAX_TRIES:
                raise SamplerError(f"The sampler died {work.tries} times on the same prompt: {_line(error)}.")
            logger.warning("the sampler died (%s); prompt %d is asked again", _line(error), work.prompt.index)
            self._ask(_Asked(work.prompt, work.at_most, work.tries + 1))
        else:
            logger.warning("the sampler died while it was loading (%s); Ray starts it again", _line(error))
        return []


def on_cluster_gpu(settings: Settings) -> bool:
    """Returns whether the sampler shall have a GPU: Ray has one, and a vLLM sampler is asked for."""
    wants = any(spec.split(":")[0] == "vllm" for spec in settings.samplers)
    return wants and ray.cluster_resources().get("GPU", 0) >= 1


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
