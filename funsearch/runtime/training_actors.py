"""Ray actors for a training: the sampler actors of a search, graders with a sandbox each, and one that trains.

Actors are thin and know nobody. One that dies is restarted by Ray and its batch is asked for again; an answer that
takes its grader down every time is graded as wrong.
"""

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.errors import SamplerError, TrainingError
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress, OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Policy, Task
from funsearch.runtime.actors import SamplerActor
from funsearch.runtime.hands import Asked, ToGrade, grade, placed
from funsearch.runtime.ray_workers import gpus_wanted
from funsearch.runtime.sampler_pool import MAX_TRIES
from funsearch.runtime.training_settings import TrainingSettings
from funsearch.sandbox import open_sandbox
from funsearch.trainers.trl import TrlTrainer

logger = logging.getLogger(__name__)
Item = TypeVar("Item")

BATCHES_AHEAD = 2
"""Batches with the sampler at once, so that it never idles between two."""
LOOK_SECONDS = 1.0
CLOSING_SECONDS = 30.0


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
        self, settings: TrainingSettings, model: str, verifier: OpenVerifier, level: str, *, on_cluster: bool = False
    ) -> None:
        self._settings = settings
        self._model = model
        self._sampler: Any = None
        self._serves = ""
        make = ray.remote(GraderActor).options(num_cpus=1 if on_cluster else 0, max_restarts=-1)
        self._graders = [make.remote(verifier, level) for _ in range(settings.evaluators)]

    def generate(self, batches: Iterable[Sequence[Asked]], policy: Policy) -> Iterator[list[Answer]]:
        def ask(batch: Sequence[Asked]) -> Any:
            return self._serving(policy).generate.remote([asked.request for asked in batch], policy)

        for batch, answers in _worked_off(batches, ask, BATCHES_AHEAD, _give_up_sampling):
            yield placed(batch, answers)

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        graders = itertools.cycle(self._graders)

        def ask(batch: Sequence[ToGrade]) -> Any:
            return next(graders).grade.remote([(one.task, one.answer.text) for one in batch])

        ahead = BATCHES_AHEAD * len(self._graders)
        for batch, grades in _worked_off(batches, ask, ahead, _give_up_grading):
            yield [Graded(one.answer, given) for one, given in zip(batch, grades, strict=True)]

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        self._end_sampler()
        gpus = ray.cluster_resources().get("GPU", 0)
        trainer = ray.remote(TrainerActor).options(num_cpus=0, num_gpus=gpus, max_concurrency=2).remote()
        running = trainer.improve.remote(job, examples)
        seen = ImproveProgress(0, 0)
        try:
            while not ray.wait([running], timeout=LOOK_SECONDS)[0]:
                now = ray.get(trainer.progress.remote())
                if now != seen:
                    watch(now)
                    seen = now
            done: Improved = ray.get(running)
            return done
        except RayTaskError as error:
            raise _cause(error) from None
        except RayError as error:
            raise TrainingError(
                f"The trainer's process died ({_line(error)}): the same command goes on from the latest checkpoint."
            ) from None
        finally:
            ray.kill(trainer)

    def close(self) -> None:
        self._end_sampler()
        for grader in self._graders:
            ray.kill(grader)

    def _serving(self, policy: Policy) -> Any:
        """Returns the sampler actor that can answer as the policy; adapters are served beside their base."""
        model = policy.folder if policy.kind == "full" else self._model
        if self._serves != model:
            self._end_sampler()
            settings = self._settings.for_sampler(model)
            self._sampler = (
                ray.remote(SamplerActor)
                .options(
                    num_cpus=0,
                    num_gpus=gpus_wanted(settings),
                    max_concurrency=BATCHES_AHEAD + 1,
                    max_restarts=-1,
                )
                .remote(settings)
            )
            self._serves = model
        return self._sampler

    def _end_sampler(self) -> None:
        if self._sampler is None:
            return
        sampler, self._sampler, self._serves = self._sampler, None, ""
        # Its engine has processes of its own, which shall have ended before their memory is needed.
        ray.wait([sampler.close.remote()], timeout=CLOSING_SECONDS)
        ray.kill(sampler)


def _worked_off(
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
        ref = ray.wait(list(pending), num_returns=1)[0][0]
        batch, tries = pending.pop(ref)
        try:
            value = ray.get(ref)
        except RayTaskError as error:
            raise _cause(error) from None
        except RayError as error:
            if tries >= MAX_TRIES:
                value = give_up(batch, error)
            else:
                logger.warning("an actor died (%s); its batch is asked for again", _line(error))
                # One by one, to find the culprit.
                waiting.extend(([item], tries + 1) for item in batch)
                continue
        yield batch, value


def _cause(error: RayTaskError) -> Exception:
    return error.cause if isinstance(error.cause, Exception) else error


def _give_up_sampling(batch: Sequence[Asked], error: RayError) -> Any:
    raise SamplerError(f"The sampler died {MAX_TRIES} times on the same prompt: {_line(error)}.")


def _give_up_grading(batch: Sequence[ToGrade], error: RayError) -> list[Grade]:
    return [Grade(0.0, error=f"its grader died {MAX_TRIES} times") for _ in batch]


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
