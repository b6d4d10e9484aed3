"""The hands of a search: who asks the model and who evaluates, behind one port.

`LocalWorkers` does the work itself, one piece at a time, in this process: for notebooks and tests. The Ray actors are
in `funsearch.cluster.search_workers`. Neither knows what the search does with what they bring.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from funsearch.core.evaluator import Evaluator, Outcome
from funsearch.core.ports import Sampler
from funsearch.core.records import Function, Prompt, Sample
from funsearch.errors import SamplerExhausted


@dataclass(frozen=True, slots=True)
class Job:
    """A function to be evaluated, with the sample it was read from."""

    sample: Sample
    function: Function
    key: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """The model's samples for a prompt."""

    prompt: Prompt
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The sampler has no answer for the prompt and will have none for later ones."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Scored:
    """The outcome of a job."""

    job: Job
    outcome: Outcome


WorkResult = Sampled | Exhausted | Scored


class Workers(Protocol):
    """Does what it is asked to, in any order. Used by one thread. A worker that dies is replaced and its work redone.

    Every `ask` brings one `Sampled` or `Exhausted`, every job one `Scored`, unless it is abandoned.
    """

    @property
    def asking(self) -> int:
        """Returns how many prompts are with the model."""

    @property
    def evaluating(self) -> int:
        """Returns how many jobs are with the evaluators."""

    @property
    def samplers(self) -> int:
        """Returns how many copies of the model answer prompts now."""

    @property
    def evaluators(self) -> int:
        """Returns how many evaluators there are now."""

    @property
    def appetite(self) -> int:
        """Returns how many jobs keep all evaluators busy; fewer at hand, and some may idle."""

    def waiting(self) -> int | None:
        """Returns how many samples wait in the models' queues by the latest look; None if it was told before."""

    def ask(self, prompt: Prompt, at_most: int | None = None) -> None:
        """Passes a prompt to the model; no more than `at_most` samples shall come back."""

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        """Passes jobs to the evaluators, with the best score so far: what beats it is scored again to confirm it."""

    def wait(self, seconds: float) -> list[WorkResult]:
        """Returns what is done, as soon as something is or after `seconds`.

        Raises:
            SamplerError: the model cannot answer.
            SandboxError: candidates cannot be run.
            ProblemError: the problem's evaluator hangs.
        """

    def abandon_prompts(self) -> None:
        """Forgets the prompts that are with the model; their answers never come."""

    def close(self) -> None:
        """Ends the workers."""


class LocalWorkers:
    """Samples and evaluates in this process, one piece of work for each `wait`, evaluations first."""

    def __init__(self, sampler: Sampler, evaluator: Evaluator) -> None:
        self._sampler = sampler
        self._evaluator = evaluator
        self._prompts: deque[tuple[Prompt, int | None]] = deque()
        self._tasks: deque[Job] = deque()
        self._best: float | None = None

    @property
    def asking(self) -> int:
        return len(self._prompts)

    @property
    def evaluating(self) -> int:
        return len(self._tasks)

    @property
    def samplers(self) -> int:
        return 1

    @property
    def evaluators(self) -> int:
        return 1

    @property
    def appetite(self) -> int:
        return 1

    def waiting(self) -> int | None:
        return None

    def ask(self, prompt: Prompt, at_most: int | None = None) -> None:
        self._prompts.append((prompt, at_most))

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        self._tasks.extend(jobs)
        self._best = best

    def wait(self, seconds: float) -> list[WorkResult]:
        if self._tasks:
            job = self._tasks.popleft()
            return [Scored(job, self._evaluator.score_confirmed(job.function, self._best))]
        if self._prompts:
            prompt, at_most = self._prompts.popleft()
            try:
                return [Sampled(prompt, self._sampler.sample(prompt, at_most))]
            except SamplerExhausted:
                return [Exhausted(prompt)]
        return []

    def abandon_prompts(self) -> None:
        self._prompts.clear()

    def close(self) -> None:
        self._sampler.close()
        self._evaluator.close()
