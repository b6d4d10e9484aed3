"""The samplers that answer a training as its policies: one of its own, or those of the search that it belongs to.

Either makes room for the trainer while it trains.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Protocol

import ray

from funsearch.cluster.actors import SamplerActor, SamplerHandle
from funsearch.cluster.batch_map import BATCHES_AHEAD, Attempt
from funsearch.cluster.handles import ActorOptions, nodes
from funsearch.cluster.replicas import ActorReplicas, Replicas
from funsearch.cluster.sampler_pool import FAILED_STARTS, start_error
from funsearch.cluster.search_workers import RayWorkers, sampler_gpus, sampler_options
from funsearch.cluster.supervisor import Supervisor
from funsearch.core.completions import Completion, Policy
from funsearch.errors import ConfigError, Interrupted, TrainingError
from funsearch.settings.search import Settings
from funsearch.settings.training import TrainingSettings
from funsearch.trainers.options import TrainerOptions
from funsearch.training.workers import AnswerRequest

CLOSING_SECONDS = 30.0
"""How long samplers may take to end the processes of their engines."""
ROOM_SECONDS = 0.2
"""How often the cluster is checked for free GPUs."""
BORROWING_SECONDS = 2.0
"""How often a search is asked for new samplers."""

SamplerSupervisor = Supervisor[SamplerHandle, Attempt[AnswerRequest], list[list[Completion]]]


class PolicySamplers(Protocol):
    """Samplers of the policies of a training. Used by one thread."""

    def serving(self, policy: Policy) -> SamplerSupervisor:
        """Returns the supervisor of samplers that can answer as the policy; valid until the next call."""

    def making_room(self) -> AbstractContextManager[float]:
        """Returns a context in which the trainer has memory and devices; it yields the number of its GPUs."""

    def close(self) -> None:
        """Stops the samplers that belong to the training alone."""


def check_room(settings: Settings) -> None:
    """Refuses a search that does not pause while it trains and leaves the trainer no GPU.

    Raises:
        ConfigError: the trainer lacks GPUs; says how many there are, and how many the samplers take.
    """
    gpus = ray.cluster_resources().get("GPU", 0)
    needed = _trainer_gpus(settings.train.trainer)
    taken = sampler_options(settings)["num_gpus"] * settings.sampler_replicas
    if not settings.train.pause and gpus - taken < needed:
        raise ConfigError(
            f"train.pause=false: the trainer needs {needed:.0f} of {gpus:.0f} GPUs and the samplers take {taken:g}. "
            "Set train.pause=true, or fewer sampler_replicas."
        )


class DedicatedSampler:
    """One sampler of the training's own, which is stopped before the trainer starts."""

    def __init__(self, settings: TrainingSettings, model: str) -> None:
        self._settings = settings
        self._model = model
        self._supervisor: SamplerSupervisor | None = None
        self._served_model = ""

    def serving(self, policy: Policy) -> SamplerSupervisor:
        """Returns the sampler's supervisor; adapters are served beside their base, whole models replace it."""
        model = policy.folder if policy.kind == "full" else self._model
        if self._supervisor is None or self._served_model != model:
            self.close()
            settings = _sampler_settings(self._settings, model)
            options = ActorOptions(num_cpus=0, num_gpus=sampler_gpus(settings), max_concurrency=BATCHES_AHEAD + 1)
            self._supervisor = _supervised(ActorReplicas[SamplerHandle](SamplerActor, (settings,), options, 1))
            self._served_model = model
        return self._supervisor

    @contextmanager
    def making_room(self) -> Iterator[float]:
        """Stops the sampler, which frees its GPUs."""
        self.close()
        yield _trainer_gpus(self._settings.trainer)

    def close(self) -> None:
        """Stops the sampler."""
        if self._supervisor is not None:
            _close_engines([member.actor for member in self._supervisor.members])
            self._supervisor.close()
            self._supervisor = None


class SharedSamplers:
    """The samplers of a running search, which supervises them and keeps using them."""

    def __init__(
        self, workers: RayWorkers, trainer: TrainerOptions, stopped: Callable[[], bool], *, pause: bool
    ) -> None:
        """Takes the search to share with.

        Args:
            workers: of the search; asked through their mailbox.
            trainer: options of the trainer to make room for.
            stopped: whether the search is ending.
            pause: whether the search pauses during a training, so that the GPUs of its samplers may be taken.
        """
        self._workers = workers
        self._trainer = trainer
        self._stopped = stopped
        self._pause = pause

    def serving(self, policy: Policy) -> SamplerSupervisor:
        """Returns a supervisor of the search's samplers, which answer as any policy of their model."""
        return _supervised(_BorrowedReplicas(self._actors))

    @contextmanager
    def making_room(self) -> Iterator[float]:
        """Stops the search's samplers if the trainer needs their GPUs, and has them started again afterwards.

        Raises:
            TrainingError: the search does not pause, and leaves too few GPUs.
            Interrupted: the search is ending.
        """
        gpus = _trainer_gpus(self._trainer)
        free = ray.available_resources().get("GPU", 0)
        if free >= gpus:
            yield gpus
            return
        if not self._pause:
            raise TrainingError(
                f"The trainer needs {gpus:.0f} GPUs and {free:.0f} are free: set train.pause=true, or fewer samplers."
            )
        _close_engines(self._actors())
        self._workers.rest(True)
        try:
            while ray.available_resources().get("GPU", 0) < gpus:
                if self._stopped():
                    raise Interrupted("The search ended while its samplers were being stopped.")
                time.sleep(ROOM_SECONDS)
            yield gpus
        finally:
            self._workers.rest(False)

    def close(self) -> None:
        """Does nothing: the samplers belong to the search."""

    def _actors(self) -> list[SamplerHandle]:
        """Returns the search's samplers.

        Raises:
            Interrupted: the search is ending.
        """
        return self._workers.ask(lambda workers: workers.sampler_actors, self._stopped)


class _BorrowedReplicas:
    """Replicas that someone else starts and stops: `start` borrows one, `stop` returns it for good."""

    def __init__(self, actors: Callable[[], Sequence[SamplerHandle]]) -> None:
        """Takes a function that returns the actors there are now."""
        self._actors = actors
        self._borrowed = 0
        self._seen: set[SamplerHandle] = set()
        self._new: list[SamplerHandle] = []
        self._checked = -BORROWING_SECONDS

    def wanted(self) -> int:
        if not self._borrowed or time.monotonic() - self._checked >= BORROWING_SECONDS:
            self._new = [actor for actor in self._actors() if actor not in self._seen]
            self._checked = time.monotonic()
        return self._borrowed + len(self._new)

    def start(self) -> SamplerHandle:
        actor = self._new.pop()
        self._seen.add(actor)
        self._borrowed += 1
        return actor

    def stop(self, actor: SamplerHandle) -> None:
        self._borrowed -= 1


def _supervised(replicas: Replicas[SamplerHandle]) -> SamplerSupervisor:
    return Supervisor(replicas, "sampler", max_failed_starts=FAILED_STARTS, start_error=start_error)


def _trainer_gpus(trainer: TrainerOptions) -> float:
    """Returns how many GPUs the trainer uses: one for each of its processes, none where the cluster has none.

    Raises:
        ConfigError: no node has as many.
    """
    most = max((node["Resources"].get("GPU", 0) for node in nodes() if node["Alive"]), default=0)
    if 0 < most < trainer.processes:
        raise ConfigError(
            f"trainer.processes = {trainer.processes}: each needs a GPU of the same machine, and none has more than "
            f"{most:.0f}."
        )
    return float(trainer.processes if most else 0)


def _close_engines(samplers: Sequence[SamplerHandle]) -> None:
    """Has samplers end the processes of their engines, so that the memory is free before it is needed."""
    closing = [sampler.close.remote() for sampler in samplers]
    if closing:
        ray.wait(closing, num_returns=len(closing), timeout=CLOSING_SECONDS)


def _sampler_settings(settings: TrainingSettings, model: str) -> Settings:
    """Returns the settings with which a sampler actor serves the model and adapters of it."""
    return Settings(
        seed=settings.seed,
        samplers=(f"{settings.sampler}:{model}",),
        vllm=replace(settings.vllm, max_lora_rank=settings.trainer.served_rank, prompt_format="completion"),
        transformers=settings.transformers,
    )
