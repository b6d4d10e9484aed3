"""Ray actors for a training: graders with a sandbox each, one that trains, and whoever samples.

Actors are thin and know nobody. One that dies is restarted by Ray and its batch is asked for again; an answer that
takes its grader down even alone is graded as wrong.
"""

import faulthandler
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.cluster.batch_map import WorkingOff
from funsearch.cluster.placement import cause
from funsearch.cluster.policy_samplers import BATCHES_AHEAD, PolicySamplers
from funsearch.core.completions import Policy
from funsearch.errors import Interrupted, SamplerError, TrainingError, first_line
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress, OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Task
from funsearch.sandbox import open_sandbox
from funsearch.trainers.trl import TrlTrainer
from funsearch.training.workers import AnswerRequest, ToGrade, answers_to, grade

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class GraderActor:
    """Holds one verifier, and ends itself when that does not come back."""

    def __init__(self, make: OpenVerifier, level: str, seconds: float) -> None:
        self._make = make
        self._level = level
        self._seconds = seconds
        self._verifier: Verifier | None = None

    def grade(self, items: Sequence[tuple[Task, str]]) -> list[Grade]:
        if self._verifier is None:
            level = self._level
            self._verifier = self._make(
                lambda: open_sandbox("auto" if level == "none" else level, unsafe=level == "none")
            )
        return [self._graded(self._verifier, task, text) for task, text in items]

    def _graded(self, verifier: Verifier, task: Task, text: str) -> Grade:
        # Its thread needs no lock of the interpreter: it ends the process in the middle of a long multiplication, too.
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        try:
            return grade(verifier, task, text)
        finally:
            faulthandler.cancel_dump_traceback_later()


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


class RayTrainingWorkers:
    """Drives the actors of one training."""

    def __init__(
        self,
        samplers: PolicySamplers,
        verifier: OpenVerifier,
        level: str,
        *,
        verifier_seconds: float,
        graders: int = 1,
        grader_options: Mapping[str, Any],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Starts the graders.

        Args:
            samplers: who answers.
            verifier: what each grader makes its verifier with.
            level: of the graders' sandboxes.
            verifier_seconds: how long a verifier may take over one answer.
            graders: how many there are.
            grader_options: of Ray for them.
            stopped: looked at now and then; once it is true, whatever goes on raises Interrupted.
        """
        self._samplers = samplers
        self._stopped = stopped
        make = ray.remote(GraderActor).options(max_restarts=-1, **grader_options)
        self._graders = [make.remote(verifier, level, verifier_seconds) for _ in range(graders)]
        self._verifier_seconds = verifier_seconds

    def generate(self, batches: Iterable[Sequence[AnswerRequest]], policy: Policy) -> Iterator[list[Answer]]:
        work: WorkingOff[AnswerRequest] = WorkingOff(
            lambda: self._samplers.serving(policy),
            lambda sampler, batch: sampler.complete.remote([request.to(policy) for request in batch]),
            self._wait,
            _give_up_sampling,
            _give_up_sampling,
            ahead=BATCHES_AHEAD * self._samplers.count,
            hopeless=1,  # each try loads the model again
        )
        for batch, completions in work.results(batches):
            yield answers_to(batch, completions)

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        work: WorkingOff[ToGrade] = WorkingOff(
            itertools.cycle(self._graders).__next__,
            lambda grader, batch: grader.grade.remote([(one.task, one.answer.text) for one in batch]),
            self._wait,
            self._give_up_grading,
            self._despair_of_grading,
            ahead=BATCHES_AHEAD * len(self._graders),
            hopeless=3,
        )
        for batch, grades in work.results(batches):
            yield [Graded(one.answer, given) for one, given in zip(batch, grades, strict=True)]

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        with self._samplers.making_room() as gpus:
            trainer = ray.remote(TrainerActor).options(num_cpus=0, num_gpus=gpus, max_concurrency=2).remote()
            try:
                return self._trained(trainer, job, examples, watch)
            except RayTaskError as error:
                raise cause(error) from None
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

    def _give_up_grading(self, one: ToGrade, error: RayError) -> list[Grade]:
        logger.warning("counted as wrong, as %s", self._fatal(one, error))
        return [Grade(0.0, error="the verifier took its process down")]

    def _despair_of_grading(self, one: ToGrade, error: RayError) -> NoReturn:
        raise TrainingError(
            f"No answer could be graded, as {self._fatal(one, error)}. Mend it, or set verifier_seconds higher; the "
            "same command goes on."
        )

    def _fatal(self, one: ToGrade, error: RayError) -> str:
        return (
            f"the verifier takes its process down on an answer to the task {one.task.key}: it takes longer than "
            f"verifier_seconds = {self._verifier_seconds:g}, or all memory ({first_line(error)})"
        )

    def _wait(self, references: list[Any]) -> Any:
        while not (done := self._is_done(references)):
            pass
        return done[0]

    def _is_done(self, refs: list[Any]) -> list[Any]:
        """Returns one of the calls that is done, after a moment.

        Raises:
            Interrupted: it was asked to stop.
        """
        done, _ = ray.wait(refs, num_returns=1, timeout=LOOK_SECONDS)
        if self._stopped():
            raise Interrupted("The training was interrupted; everything finished is saved.")
        return list(done)


def _give_up_sampling(request: AnswerRequest, error: RayError) -> NoReturn:
    raise SamplerError(f"The sampler dies each time of the task {request.task.key}: {first_line(error)}.")
