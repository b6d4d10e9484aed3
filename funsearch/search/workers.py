"""The workers of a search behind one port: samplers that answer prompts, and evaluators that score programs.

`LocalWorkers` does one piece of work after the other in this process, for notebooks and tests; the Ray actors are in
`funsearch.cluster.search_workers`. Neither knows what the search does with the results.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from funsearch.core.evaluator import Evaluator, Outcome
from funsearch.core.ports import Sampler
from funsearch.core.records import Function, Prompt, Sample
from funsearch.errors import SamplerExhausted
from funsearch.search.sampling import PromptCallable, prompt_sampler


@dataclass(frozen=True, slots=True)
class Job:
    """A function to be evaluated, and the sample from which it was read."""

    sample: Sample
    function: Function
    key: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """The samples of a prompt."""

    prompt: Prompt
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The sampler has no answer for the prompt, nor for later prompts."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Scored:
    """The outcome of a job."""

    job: Job
    outcome: Outcome


WorkResult = Sampled | Exhausted | Scored


class Workers(Protocol):
    """Samples and evaluates, in any order. Used by one thread.

    Every `sample` leads to one `Sampled` or `Exhausted`, every job to one `Scored`, unless it is abandoned. A worker
    that dies is replaced, and its work is repeated.
    """

    @property
    def sampling(self) -> int:
        """Number of prompts with the samplers."""

    @property
    def evaluating(self) -> int:
        """Number of jobs with the evaluators."""

    @property
    def samplers(self) -> int:
        """Number of samplers that are ready."""

    @property
    def evaluators(self) -> int:
        """Number of evaluators that are ready."""

    @property
    def capacity(self) -> int:
        """Number of jobs that keep all evaluators busy; with fewer, some may idle."""

    def queued(self) -> int | None:
        """Returns the latest number of samples waiting in the models' queues; None if it was returned before, or if the
        models keep no queue."""

    def sample(self, prompt: Prompt, count: int) -> None:
        """Hands a prompt to a sampler, which returns at most `count` samples."""

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        """Hands jobs to the evaluators, with the best score so far: a program that beats it is scored twice."""

    def wait(self, seconds: float) -> list[WorkResult]:
        """Returns the finished work as soon as there is any, or an empty list after `seconds`.

        Raises:
            SamplerError: the model cannot answer.
            SandboxError: candidates cannot be run.
            ProblemError: the problem's evaluator hangs.
        """

    def abandon_prompts(self) -> None:
        """Drops the prompts that are with the samplers; `wait` does not return their samples."""

    def close(self) -> None:
        """Stops the workers."""


class LocalWorkers:
    """Samples and evaluates in this process, one piece of work for each `wait`, evaluations first."""

    def __init__(self, sampler: Sampler | PromptCallable, evaluator: Evaluator) -> None:
        self._sampler = prompt_sampler(sampler)
        self._evaluator = evaluator
        self._prompts: deque[tuple[Prompt, int]] = deque()
        self._jobs: deque[Job] = deque()
        self._best: float | None = None

    @property
    def sampling(self) -> int:
        return len(self._prompts)

    @property
    def evaluating(self) -> int:
        return len(self._jobs)

    @property
    def samplers(self) -> int:
        return 1

    @property
    def evaluators(self) -> int:
        return 1

    @property
    def capacity(self) -> int:
        return 1

    def queued(self) -> int | None:
        return None

    def sample(self, prompt: Prompt, count: int) -> None:
        self._prompts.append((prompt, count))

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        self._jobs.extend(jobs)
        self._best = best

    def wait(self, seconds: float) -> list[WorkResult]:
        if self._jobs:
            job = self._jobs.popleft()
            return [Scored(job, self._evaluator.score_confirmed(job.function, self._best))]
        if self._prompts:
            prompt, count = self._prompts.popleft()
            try:
                return [Sampled(prompt, self._sampler.sample(prompt, count))]
            except SamplerExhausted:
                return [Exhausted(prompt)]
        return []

    def abandon_prompts(self) -> None:
        self._prompts.clear()

    def close(self) -> None:
        self._sampler.close()
        self._evaluator.close()


class NoWorkers:
    """Stands in for the workers of a search that is not running."""

    sampling = evaluating = samplers = evaluators = capacity = 0

    def queued(self) -> int | None:
        return None

    def sample(self, prompt: Prompt, count: int) -> None:
        raise NotImplementedError

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        raise NotImplementedError

    def wait(self, seconds: float) -> list[WorkResult]:
        return []

    def abandon_prompts(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


NO_WORKERS = NoWorkers()
