"""Who has the policies of a training answer: a sampler of its own, or those of the search that it belongs to.

Either makes room for the trainer while that is at work.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, Protocol

import ray

from funsearch.cluster.actors import SamplerActor
from funsearch.cluster.search_workers import RayWorkers, gpus_wanted, sampler_options
from funsearch.core.completions import Policy
from funsearch.errors import ConfigError, Interrupted, TrainingError
from funsearch.settings.search import Settings
from funsearch.settings.training import TrainingSettings
from funsearch.trainers.options import TrainerOptions

BATCHES_AHEAD = 2
"""Batches with a sampler at once, so that it never idles between two."""
CLOSING_SECONDS = 30.0
LOOK_SECONDS = 0.2


class PolicySamplers(Protocol):
    """Sampler actors. Used by one thread."""

    @property
    def count(self) -> int:
        """Returns how many there are, at least 1."""

    def serving(self, policy: Policy) -> Any:
        """Returns the handle of a sampler actor that can answer as the policy."""

    def making_room(self) -> AbstractContextManager[float]:
        """Returns a context in which the trainer has memory and devices; it yields the number of its GPUs."""

    def close(self) -> None:
        """Ends those that nobody else uses."""


def check_room(settings: Settings) -> None:
    """Refuses a search that shall go on while it trains, and leaves the trainer no GPU.

    Raises:
        ConfigError: says how many there are, and who has them.
    """
    gpus = ray.cluster_resources().get("GPU", 0)
    needed = _gpus_needed(settings.train.trainer)
    taken = sampler_options(settings)["num_gpus"] * settings.sampler_replicas
    if not settings.train.pause and gpus - taken < needed:
        raise ConfigError(
            f"train.pause=false: the trainer needs {needed:.0f} of {gpus:.0f} GPUs and the samplers take {taken:g}. "
            "Set train.pause=true, or fewer sampler_replicas."
        )


class OwnSampler:
    """One sampler, which ends before the trainer begins."""

    def __init__(self, settings: TrainingSettings, model: str) -> None:
        self._settings = settings
        self._model = model
        self._sampler: Any = None
        self._serves = ""
        self.count = 1

    def serving(self, policy: Policy) -> Any:
        """Returns the sampler; adapters are served beside their base, whole models take its place."""
        model = policy.folder if policy.kind == "full" else self._model
        if self._serves != model:
            self.close()
            settings = _for_sampler(self._settings, model)
            options = {"num_cpus": 0, "num_gpus": gpus_wanted(settings), "max_concurrency": BATCHES_AHEAD + 1}
            self._sampler = ray.remote(SamplerActor).options(max_restarts=-1, **options).remote(settings)
            self._serves = model
        return self._sampler

    @contextmanager
    def making_room(self) -> Iterator[float]:
        """Ends the sampler, whose GPUs are free then."""
        self.close()
        yield _gpus_needed(self._settings.trainer)

    def close(self) -> None:
        """Ends the sampler."""
        if self._sampler is None:
            return
        sampler, self._sampler, self._serves = self._sampler, None, ""
        _end([sampler])
        ray.kill(sampler)


class SearchSamplers:
    """The samplers of a search, which go on serving it."""

    def __init__(
        self, workers: RayWorkers, trainer: TrainerOptions, stopped: Callable[[], bool], *, pause: bool
    ) -> None:
        """Remembers whom to ask.

        Args:
            workers: of the search.
            trainer: to whom they give way.
            stopped: whether to give up waiting.
            pause: whether the search waits meanwhile, so that its GPUs may be taken.
        """
        self._workers = workers
        self._trainer = trainer
        self._stopped = stopped
        self._pause = pause
        self._turn = itertools.count()

    @property
    def count(self) -> int:
        """Returns how many the search has."""
        return max(1, len(self._workers.sampler_actors))

    def serving(self, policy: Policy) -> Any:
        """Returns the next sampler.

        Raises:
            Interrupted: the search ended while there was none.
        """
        while not (several := self._workers.sampler_actors):
            self._pass_time()
        return several[next(self._turn) % len(several)]

    @contextmanager
    def making_room(self) -> Iterator[float]:
        """Sends the samplers away if the trainer needs their GPUs, and has them back afterwards.

        Raises:
            TrainingError: the search goes on, and leaves no GPU.
            Interrupted: the search ended.
        """
        gpus = _gpus_needed(self._trainer)
        free = ray.available_resources().get("GPU", 0)
        if free >= gpus:
            yield gpus
            return
        if not self._pause:
            raise TrainingError(
                f"The trainer needs {gpus:.0f} GPUs and {free:.0f} are free: set train.pause=true, or fewer samplers."
            )
        _end(self._workers.sampler_actors)
        self._workers.rest(True)
        try:
            while ray.available_resources().get("GPU", 0) < gpus:
                self._pass_time()
            yield gpus
        finally:
            self._workers.rest(False)

    def close(self) -> None:
        """Does nothing: the samplers are the search's."""

    def _pass_time(self) -> None:
        if self._stopped():
            raise Interrupted("The search has ended.")
        time.sleep(LOOK_SECONDS)


def _gpus_needed(trainer: TrainerOptions) -> float:
    """Returns how many GPUs the trainer uses: one for each of its processes, none where the cluster has none.

    Raises:
        ConfigError: no node has as many.
    """
    most = max((node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if 0 < most < trainer.processes:
        raise ConfigError(
            f"trainer.processes = {trainer.processes}: each needs a GPU of the same machine, and none has more than "
            f"{most:.0f}."
        )
    return float(trainer.processes if most else 0)


def _end(samplers: Sequence[Any]) -> None:
    """Has samplers end the processes of their engines, which shall be gone before their memory is needed."""
    closing = [sampler.close.remote() for sampler in samplers]
    if closing:
        ray.wait(closing, num_returns=len(closing), timeout=CLOSING_SECONDS)


def _for_sampler(settings: TrainingSettings, model: str) -> Settings:
    """Returns the settings under which a sampler actor serves the model and adapters of it."""
    return Settings(
        seed=settings.seed,
        samplers=(f"{settings.sampler}:{model}",),
        vllm=replace(settings.vllm, max_lora_rank=settings.trainer.served_rank, prompt_format="completion"),
        transformers=settings.transformers,
    )
