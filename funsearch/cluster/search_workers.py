"""The `Workers` of a search on Ray: a pool of samplers and a pool of evaluators."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import ray

from funsearch.cluster.actors import EvaluatorActor, EvaluatorHandle, SamplerActor, SamplerHandle
from funsearch.cluster.evaluator_pool import EvaluatorPool
from funsearch.cluster.handles import ActorOptions, first_done
from funsearch.cluster.mailbox import Mailbox
from funsearch.cluster.placement import options_at, warn_if_nowhere
from funsearch.cluster.replicas import ActorReplicas, SizedReplicas
from funsearch.cluster.sampler_pool import SamplerPool
from funsearch.core.completions import Policy
from funsearch.core.records import Limits, Prompt
from funsearch.loading import ProblemSource
from funsearch.search.workers import Job, WorkResult
from funsearch.settings.search import Settings

T = TypeVar("T")

EVALUATIONS = 2
"""How often a program is evaluated at most: a new best one is evaluated twice."""
SPARE_CALLS = 4
"""Concurrent calls of a sampler beyond its prompts: for statistics, and for the batches of a training."""


class RayWorkers:
    """Samplers and evaluators as Ray actors, which come and go.

    Used by the search's thread. Other threads use `resize`, `rest` and `ask` only, whose calls the search's thread
    carries out in its next `wait`.
    """

    def __init__(
        self,
        samplers: SizedReplicas[SamplerHandle],
        evaluators: SizedReplicas[EvaluatorHandle],
        hang_seconds: float,
        problem: str,
    ) -> None:
        """Starts the actors.

        Args:
            samplers: starts and stops samplers.
            evaluators: starts and stops evaluators.
            hang_seconds: time after which an evaluator that has not finished one program is considered to hang.
            problem: name of the problem, for messages.
        """
        self._mailbox = Mailbox()
        self._sampler_replicas = samplers
        self._evaluator_replicas = evaluators
        self._samplers = SamplerPool(samplers)
        self._evaluators = EvaluatorPool(evaluators, hang_seconds, problem)

    @property
    def sampling(self) -> int:
        return self._samplers.sampling

    @property
    def evaluating(self) -> int:
        return self._evaluators.evaluating

    @property
    def samplers(self) -> int:
        return self._samplers.ready

    @property
    def evaluators(self) -> int:
        return self._evaluators.ready

    @property
    def capacity(self) -> int:
        return self._evaluators.capacity

    @property
    def sampler_actors(self) -> list[SamplerHandle]:
        """The handles of the sampler actors, of which some may still be loading their model."""
        return self._samplers.actors

    def ask(self, call: Callable[["RayWorkers"], T], stopped: Callable[[], bool]) -> T:
        """Returns what a call returns in the search's thread; for other threads.

        Raises:
            Interrupted: `stopped` turned true first.
        """
        return self._mailbox.ask(lambda: call(self), stopped)

    def rest(self, resting: bool) -> None:
        """Stops all samplers, or starts them again; for other threads. No prompt is lost."""
        self._mailbox.send(lambda: self._samplers.rest(resting))

    def resize(self, samplers: int | None = None, evaluators: int | Literal["auto"] | None = None) -> None:
        """Changes the number of samplers and evaluators; for other threads.

        Surplus actors finish their work before they are stopped.
        """
        self._mailbox.send(lambda: self._resize(samplers, evaluators))

    def serve(self, policy: Policy) -> None:
        """Has prompts answered by a policy of the samplers' model from now on."""
        self._samplers.policy = policy

    def queued(self) -> int | None:
        return self._samplers.queued()

    def sample(self, prompt: Prompt, count: int) -> None:
        self._samplers.put(prompt, count)

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        self._evaluators.put(jobs, best)

    def wait(self, seconds: float) -> list[WorkResult]:
        self._mailbox.deliver()
        results: list[WorkResult] = [*self._evaluators.take_skipped()]
        answers = set(self._samplers.awaited)
        for call in first_done([*answers, *self._evaluators.awaited], 0 if results else seconds):
            results += self._samplers.take(call) if call in answers else self._evaluators.take(call)
        self._samplers.reconcile()
        self._evaluators.reconcile()
        return results

    def abandon_prompts(self) -> None:
        self._samplers.abandon()

    def close(self) -> None:
        self._samplers.close()
        self._evaluators.close()

    def _resize(self, samplers: int | None, evaluators: int | Literal["auto"] | None) -> None:
        if samplers is not None:
            self._sampler_replicas.count = samplers
        if evaluators is not None:
            self._evaluator_replicas.count = evaluators


def make_workers(
    source: ProblemSource, settings: Settings, limits: Limits, level: str, *, inputs: int = 1, on_cluster: bool = False
) -> RayWorkers:
    """Returns the workers that the settings of a search ask for.

    Args:
        source: the problem, which each evaluator loads for itself.
        settings: of the run.
        limits: of a candidate.
        level: of the sandbox.
        inputs: number of inputs of the problem.
        on_cluster: whether this search shares Ray with other work.
    """
    settings = settings.serving_policies()
    reserved = on_cluster or settings.evaluators == "auto"
    evaluator = options_at(settings.placement.evaluator, cpus=1 if reserved else 0, gpus=0)
    sampler = sampler_options(settings)
    warn_if_nowhere("sampler", sampler)
    warn_if_nowhere("evaluator", evaluator)
    # Each prompt occupies a thread of its sampler until it is answered.
    sampler["max_concurrency"] = settings.most_in_flight() + SPARE_CALLS
    return RayWorkers(
        ActorReplicas[SamplerHandle](SamplerActor, (settings,), sampler, settings.sampler_replicas),
        ActorReplicas[EvaluatorHandle](EvaluatorActor, (source, limits, level), evaluator, settings.evaluators),
        settings.evaluator_seconds + EVALUATIONS * inputs * limits.seconds,
        source.name,
    )


def sampler_options(settings: Settings) -> ActorOptions:
    """Returns the options of the sampler actors of a search."""
    return options_at(settings.placement.sampler, cpus=0, gpus=sampler_gpus(settings))


def sampler_gpus(settings: Settings) -> int:
    """Returns the number of GPUs of a sampler: as many as vLLM spreads its model over, if Ray has any."""
    on_vllm = any(spec.split(":")[0] == "vllm" for spec in settings.samplers)
    return settings.vllm.tensor_parallel_size if on_vllm and ray.cluster_resources().get("GPU", 0) >= 1 else 0
