"""Ray actors for a training: graders with a sandbox each, one that trains, and whoever samples.

Actors are thin and know nobody. One that dies is restarted by Ray and its batch is asked for again; an answer that
takes its grader down every time is graded as wrong.
"""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.errors import Interrupted, SamplerError, TrainingError, first_line
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress, OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Policy, Task
from funsearch.runtime.hands import Asked, ToGrade, grade, placed
from funsearch.runtime.policy_samplers import BATCHES_AHEAD, PolicySamplers
from funsearch.runtime.sampler_pool import MAX_TRIES
from funsearch.sandbox import open_sandbox
from funsearch.trainers.trl import TrlTrainer

logger = logging.getLogger(__name__)
Item = TypeVar("Item")

LOOK_SECONDS = 1.0


class GraderActor:
    """Holds one verifier."""

    def __init__(self, make: OpenVerifier, level: str) -> None:
        self._make = make
        self._level = level
        self._verifier: Verifier | None = None

    def grade(self, items: Sequence[tuple[Task, str]]) -> list[Grade]:
        if self._verifier is None:
            level = self._level
            self._verifier = self._make(
                lambda: open_sandbox("auto" if level == "none" else level, unsafe=level == "none")
            )
        return [grade(self._verifier, task, text) for task, text in items]


class TrainerActor:
    """Holds the trainer; `improve` blocks in its own thread while `progress` answers."""

    def __init__(self) -> None:
        self._progress = ImproveProgress(0, 0)

    def improve(self, job: ImproveJob, examples: Sequence[Example]) -> Improved:
        return TrlTrainer().improve(job, examples, self._watch)

    def progress(self) -> ImproveProgress:
        return self._progress

    def _watch(self, progress: ImproveProgress) -> None:
        self._progress = progress


class RayHands:
    """Drives the actors of one training."""

    def __init__(
        self,
        samplers: PolicySamplers,
        verifier: OpenVerifier,
        level: str,
        *,
        graders: int = 1,
        grader_options: Mapping[str, Any],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Starts the graders.

        Args:
            samplers: who answers.
            verifier: what each grader makes its verifier with.
            level: of the graders' sandboxes.
            graders: how many there are.
            grader_options: of Ray for them.
            stopped: looked at now and then; once it is true, whatever goes on raises Interrupted.
        """
        self._samplers = samplers
        self._stopped = stopped
        make = ray.remote(GraderActor).options(max_restarts=-1, **grader_options)
        self._graders = [make.remote(verifier, level) for _ in range(graders)]

    def generate(self, batches: Iterable[Sequence[Asked]], policy: Policy) -> Iterator[list[Answer]]:
        def ask(batch: Sequence[Asked]) -> Any:
            return self._samplers.serving(policy).generate.remote([asked.request for asked in batch], policy)

        ahead = BATCHES_AHEAD * self._samplers.count
        for batch, answers in self._worked_off(batches, ask, ahead, _give_up_sampling):
            yield placed(batch, answers)

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        graders = itertools.cycle(self._graders)

        def ask(batch: Sequence[ToGrade]) -> Any:
            return next(graders).grade.remote([(one.task, one.answer.text) for one in batch])

        ahead = BATCHES_AHEAD * len(self._graders)
        for batch, grades in self._worked_off(batches, ask, ahead, _give_up_grading):
            yield [Graded(one.answer, given) for one, given in zip(batch, grades, strict=True)]

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        with self._samplers.making_room() as gpus:
            trainer = ray.remote(TrainerActor).options(num_cpus=0, num_gpus=gpus, max_concurrency=2).remote()
            try:
                return self._trained(trainer, job, examples, watch)
            except RayTaskError as error:
                raise _cause(error) from None
            except RayError as error:
                raise TrainingError(
                    f"The trainer's process died ({first_line(error)}): the same command goes on from the latest "
                    "checkpoint."
                ) from None
            finally:
                ray.kill(trainer)

    def close(self) -> None:
        self._samplers.close()
        for grader in self._graders:
            ray.kill(grader)

    def _trained(
        self, trainer: Any, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        running = trainer.improve.remote(job, examples)
        seen = ImproveProgress(0, 0)
        while not self._is_done([running]):
            look = trainer.progress.remote()
            # A trainer that has no place yet does not answer.
            now = ray.get(look) if self._is_done([look]) else seen
            if now != seen:
                watch(now)
                seen = now
        done: Improved = ray.get(running)
        return done

    def _worked_off(
        self,
        batches: Iterable[Sequence[Item]],
        ask: Callable[[Sequence[Item]], Any],
        ahead: int,
        give_up: Callable[[Sequence[Item], RayError], Any],
    ) -> Iterator[tuple[Sequence[Item], Any]]:
        """Yields each batch with what came of it, keeping `ahead` of them with the actors."""
        waiting: deque[tuple[Sequence[Item], int]] = deque()
        pending: dict[Any, tuple[Sequence[Item], int]] = {}
        more = iter(batches)
        while True:
            while len(pending) < ahead:
                batch, tries = waiting.popleft() if waiting else (next(more, None), 1)
                if batch is None:
                    break
                pending[ask(batch)] = (batch, tries)
            if not pending:
                return
            while not (done := self._is_done(list(pending))):
                pass
            batch, tries = pending.pop(done[0])
            try:
                value = ray.get(done[0])
            except RayTaskError as error:
                raise _cause(error) from None
            except RayError as error:
                if tries >= MAX_TRIES:
                    value = give_up(batch, error)
                else:
                    logger.warning("an actor died (%s); its batch is asked for again", first_line(error))
                    # One by one, to find the culprit; not at once, since another actor has to take its place.
                    waiting.extend(([item], tries + 1) for item in batch)
                    time.sleep(LOOK_SECONDS)
                    continue
            yield batch, value

    def _is_done(self, refs: list[Any]) -> list[Any]:
        """Returns one of the calls that is done, after a moment.

        Raises:
            Interrupted: it was asked to stop.
        """
        done, _ = ray.wait(refs, num_returns=1, timeout=LOOK_SECONDS)
        if self._stopped():
            raise Interrupted("The training was interrupted; everything finished is saved.")
        return list(done)


def _cause(error: RayTaskError) -> Exception:
    return error.cause if isinstance(error.cause, Exception) else error


def _give_up_sampling(batch: Sequence[Asked], error: RayError) -> Any:
    raise SamplerError(f"The sampler died {MAX_TRIES} times on the same prompt: {first_line(error)}.")


def _give_up_grading(batch: Sequence[ToGrade], error: RayError) -> list[Grade]:
    return [Grade(0.0, error=f"its grader died {MAX_TRIES} times") for _ in batch]
