"""The `Workers` of a search on Ray: a pool of samplers and a pool of evaluators."""

import time
from collections.abc import Sequence
from typing import Any, Literal

import ray

from funsearch.cluster.actors import EvaluatorActor, SamplerActor
from funsearch.cluster.evaluator_pool import EvaluatorPool
from funsearch.cluster.placement import warn_if_nowhere
from funsearch.cluster.replicas import ActorCrew, Crew
from funsearch.cluster.sampler_pool import SamplerPool
from funsearch.core.completions import Policy
from funsearch.core.records import Limits, Prompt
from funsearch.loading import ProblemSource
from funsearch.search.workers import Job, WorkResult
from funsearch.settings.search import Settings

CONFIRMED = 2
"""How often a program is evaluated at most: a new best one twice."""


class RayWorkers:
    """Drives samplers and evaluators, which come and go."""

    def __init__(self, samplers: Crew, evaluators: Crew, patience: float, problem: str) -> None:
        """Starts the actors.

        Args:
            samplers: hires samplers.
            evaluators: hires evaluators.
            patience: seconds after which an evaluator that does not come back from one program hangs.
            problem: what messages call the problem.
        """
        self._sampler_crew = samplers
        self._evaluator_crew = evaluators
        self._samplers = SamplerPool(samplers)
        self._evaluators = EvaluatorPool(evaluators, patience, problem)

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
    def sampler_actors(self) -> list[Any]:
        """Returns the handles of the sampler actors, for their `stats`."""
        return self._samplers.workers

    @property
    def evaluator_actors(self) -> list[Any]:
        """Returns the handles of the evaluator actors."""
        return self._evaluators.workers

    def rest(self, resting: bool) -> None:
        """Sends all samplers away, or has them back; may be called from any thread. No prompt is lost."""
        self._samplers.resting = resting

    def resize(self, samplers: int | None = None, evaluators: int | Literal["auto"] | None = None) -> None:
        """Changes how many there shall be, from the next `wait` on; may be called from any thread.

        Who is taken away finishes what it has.
        """
        if samplers is not None:
            self._sampler_crew.count = samplers
        if evaluators is not None:
            self._evaluator_crew.count = evaluators

    def serve(self, policy: Policy) -> None:
        """Has prompts answered by a policy of the samplers' model from now on; may be called from any thread."""
        self._samplers.policy = policy

    def queued(self) -> int | None:
        return self._samplers.queued()

    def sample(self, prompt: Prompt, count: int) -> None:
        self._samplers.put(prompt, count)

    def evaluate(self, jobs: Sequence[Job], best: float | None) -> None:
        self._evaluators.put(jobs, best)

    def wait(self, seconds: float) -> list[WorkResult]:
        results: list[WorkResult] = [*self._evaluators.take_aside()]
        answers = set(self._samplers.awaited)
        awaited = [*answers, *self._evaluators.awaited]
        if awaited:
            ray.wait(awaited, num_returns=1, timeout=0 if results else seconds, fetch_local=True)
            done, _ = ray.wait(awaited, num_returns=len(awaited), timeout=0, fetch_local=True)
            for ref in done:
                results += self._samplers.take(ref) if ref in answers else self._evaluators.take(ref)
        elif not results:
            time.sleep(seconds)
        self._samplers.tend()
        self._evaluators.tend()
        return results

    def abandon_prompts(self) -> None:
        self._samplers.abandon()

    def close(self) -> None:
        self._samplers.close()
        self._evaluators.close()


def hire(
    source: ProblemSource, settings: Settings, limits: Limits, level: str, *, inputs: int = 1, on_cluster: bool = False
) -> RayWorkers:
    """Returns the workers that the settings ask for.

    Args:
        source: the problem, which each evaluator loads for itself.
        settings: of the run.
        limits: of a candidate.
        level: of the sandbox.
        inputs: how many the problem has.
        on_cluster: whether Ray has more to do than this search.
    """
    settings = settings.serving_policies()
    reserved = on_cluster or settings.evaluators == "auto"
    evaluate = settings.placement.evaluator.options(cpus=1 if reserved else 0, gpus=0)
    sample = sampler_options(settings)
    warn_if_nowhere("sampler", sample)
    warn_if_nowhere("evaluator", evaluate)
    # Each prompt keeps a thread of its sampler until it is answered; some are left for `stats` and for trainings.
    sample["max_concurrency"] = settings.most_in_flight() + 4
    return RayWorkers(
        ActorCrew(SamplerActor, (settings,), sample, settings.sampler_replicas),
        ActorCrew(EvaluatorActor, (source, limits, level), evaluate, settings.evaluators),
        settings.evaluator_seconds + CONFIRMED * inputs * limits.seconds,
        source.name,
    )


def sampler_options(settings: Settings) -> dict[str, Any]:
    """Returns what a sampler of a search asks of Ray."""
    return settings.placement.sampler.options(cpus=0, gpus=gpus_wanted(settings))


def gpus_wanted(settings: Settings) -> int:
    """Returns how many GPUs a sampler shall have: what vLLM spreads its model over, if Ray has any GPU at all."""
    wants = any(spec.split(":")[0] == "vllm" for spec in settings.samplers)
    return settings.vllm.tensor_parallel_size if wants and ray.cluster_resources().get("GPU", 0) >= 1 else 0
