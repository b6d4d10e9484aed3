"""The trainer as a supervised actor: if its process dies, a new one resumes from the latest checkpoint."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Literal, Protocol

from funsearch.cluster.handles import Actor, ActorOptions, Method, Ref, here
from funsearch.cluster.replicas import ActorReplicas
from funsearch.cluster.supervisor import Done, Failed, Lost, Supervisor
from funsearch.errors import TrainingError, first_line
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress
from funsearch.trainers.trl import TrlTrainer

logger = logging.getLogger(__name__)

MAX_DEATHS = 3
"""How many trainers may die in a row before training has got further than ever before."""
PROGRESS_SECONDS = 1.0
"""How often the trainer is asked for its progress."""

NO_PROGRESS = ImproveProgress(0, 0)


class TrainerHandle(Actor, Protocol):
    """A handle of a `TrainerActor`."""

    @property
    def improve(self) -> Method[[ImproveJob, Sequence[Example]], Improved]: ...

    @property
    def progress(self) -> Method[[], ImproveProgress]: ...


class TrainerActor:
    """Holds the trainer; `improve` blocks in its own thread while `progress` answers."""

    def __init__(self) -> None:
        self._progress = NO_PROGRESS

    def start(self) -> str:
        """Returns the node."""
        return here()

    def improve(self, job: ImproveJob, examples: Sequence[Example]) -> Improved:
        """Trains a policy. See `Trainer.improve`."""
        return TrlTrainer().improve(job, examples, self._watch)

    def progress(self) -> ImproveProgress:
        """Returns the progress of `improve`."""
        return self._progress

    def _watch(self, progress: ImproveProgress) -> None:
        self._progress = progress


class SupervisedTrainer:
    """Trains one policy in an actor. See `funsearch.rest_em.ports.Trainer`."""

    def __init__(
        self, gpus: float, wait: Callable[[Sequence[Ref[object]]], Sequence[Ref[object]]], kind: type = TrainerActor
    ) -> None:
        """Starts nothing yet.

        Args:
            gpus: number of GPUs of the trainer.
            wait: returns the calls that are done; none of them after a moment. May raise to stop the training.
            kind: class of the actor.
        """
        options = ActorOptions(num_cpus=0, num_gpus=gpus, max_concurrency=2)
        self._wait = wait
        self._supervisor: Supervisor[TrainerHandle, Literal["improve", "progress"], Improved | ImproveProgress]
        self._supervisor = Supervisor(
            ActorReplicas[TrainerHandle](kind, (), options, 1),
            "trainer",
            max_failed_starts=MAX_DEATHS,
            start_error=_death_error,
        )
        self._deaths = 0
        self._seen = NO_PROGRESS
        self._furthest = 0
        self._asked = -PROGRESS_SECONDS

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        """Trains a policy.

        Raises:
            TrainingError: it cannot be trained, or the trainer's process died too often.
        """
        with closing(self._supervisor) as supervisor:
            while True:
                supervisor.reconcile()
                self._call(job, examples)
                for call in self._wait(supervisor.awaited):
                    match supervisor.take(call):
                        case Done(_, "improve", Improved() as improved):
                            return improved
                        case Done(_, _, ImproveProgress() as progress):
                            self._report(progress, watch)
                        case Failed(_, error):
                            raise error
                        case Lost("improve", error, with_node):
                            self._count_death(first_line(error), with_node)

    def _call(self, job: ImproveJob, examples: Sequence[Example]) -> None:
        """Has a new trainer begin, and asks a running one for its progress now and then."""
        supervisor, now = self._supervisor, time.monotonic()
        for member in supervisor.available:
            if not member.calls:
                supervisor.send(member, member.actor.improve.remote(job, examples), "improve")
            if "progress" not in supervisor.tasks and now - self._asked >= PROGRESS_SECONDS:
                self._asked = now
                supervisor.send(member, member.actor.progress.remote(), "progress")

    def _report(self, progress: ImproveProgress, watch: Callable[[ImproveProgress], None]) -> None:
        if progress.step > self._furthest:
            self._furthest, self._deaths = progress.step, 0
        if progress not in (self._seen, NO_PROGRESS):
            self._seen = progress
            watch(progress)

    def _count_death(self, reason: str, with_node: bool) -> None:
        self._deaths += not with_node
        if self._deaths >= MAX_DEATHS:
            raise _death_error(self._deaths, reason)


def _death_error(deaths: int, reason: str) -> TrainingError:
    return TrainingError(
        f"The trainer's process died {deaths} times in a row ({reason}): is there enough memory? Run the same command "
        "again to resume from the latest checkpoint."
    )
