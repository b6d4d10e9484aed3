"""The `TrainingWorkers` of a training on Ray: graders with a sandbox each, samplers, and a trainer.

All of them are supervised: one that dies is replaced and its work is redone. An answer that kills its grader even when
it is graded alone is graded as wrong.
"""

import faulthandler
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NoReturn, Protocol

from ray.exceptions import RayError

from funsearch.cluster.batch_map import Attempt, BatchMap
from funsearch.cluster.handles import Actor, ActorOptions, Method, Ref, first_done, here
from funsearch.cluster.policy_samplers import PolicySamplers
from funsearch.cluster.replicas import ActorReplicas
from funsearch.cluster.supervisor import Supervisor
from funsearch.cluster.trainer_actor import SupervisedTrainer
from funsearch.core.completions import Policy
from funsearch.errors import Interrupted, SamplerError, TrainingError, first_line
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress, OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Task
from funsearch.sandbox import open_sandbox
from funsearch.training.workers import AnswerRequest, ToGrade, answers_to, grade

logger = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
"""How often a training that waits for its workers checks whether it is to stop."""
FAILED_STARTS = 5
"""Number of graders that may die in a row while they start."""
FATAL_ANSWERS = 3
"""Number of answers that kill their graders before any answer is graded, at which the verifier is at fault."""


class GraderHandle(Actor, Protocol):
    """A handle of a `GraderActor`."""

    @property
    def grade(self) -> Method[[Sequence[tuple[Task, str]]], list[Grade]]: ...


class GraderActor:
    """Holds one verifier, and ends its own process when the verifier hangs."""

    def __init__(self, make: OpenVerifier, level: str, seconds: float) -> None:
        self._make = make
        self._level = level
        self._seconds = seconds
        self._verifier: Verifier | None = None

    def start(self) -> str:
        """Makes the verifier; returns the node.

        Raises:
            SandboxError: the verifier cannot have its sandbox on this machine.
        """
        self._opened()
        return here()

    def grade(self, answers: Sequence[tuple[Task, str]]) -> list[Grade]:
        """Returns the grades of answers, each given as its task and its text."""
        verifier = self._opened()
        return [self._grade(verifier, task, text) for task, text in answers]

    def _opened(self) -> Verifier:
        if self._verifier is None:
            level = self._level
            self._verifier = self._make(
                lambda: open_sandbox("auto" if level == "none" else level, unsafe=level == "none")
            )
        return self._verifier

    def _grade(self, verifier: Verifier, task: Task, text: str) -> Grade:
        # Its thread does not need the interpreter's lock, so it can end the process in the middle of a long
        # multiplication, too.
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        try:
            return grade(verifier, task, text)
        finally:
            faulthandler.cancel_dump_traceback_later()


class RayTrainingWorkers:
    """Drives the actors of one training. Used by one thread."""

    def __init__(
        self,
        samplers: PolicySamplers,
        verifier: OpenVerifier,
        level: str,
        *,
        verifier_seconds: float,
        graders: int = 1,
        grader_options: ActorOptions,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Starts the graders.

        Args:
            samplers: that answer.
            verifier: makes the verifier of a grader.
            level: of the graders' sandboxes.
            verifier_seconds: how long a verifier may take over one answer.
            graders: number of graders.
            grader_options: of the graders' actors.
            stopped: checked about once a second; once it is true, whatever is in progress raises Interrupted.
        """
        self._samplers = samplers
        self._stopped = stopped
        self._verifier_seconds = verifier_seconds
        self._graders: Supervisor[GraderHandle, Attempt[ToGrade], list[Grade]] = Supervisor(
            ActorReplicas[GraderHandle](GraderActor, (verifier, level, verifier_seconds), grader_options, graders),
            "grader",
            max_failed_starts=FAILED_STARTS,
            start_error=_grader_start_error,
        )
        self._graders.reconcile()

    def generate(self, batches: Iterable[Sequence[AnswerRequest]], policy: Policy) -> Iterator[list[Answer]]:
        work = BatchMap(
            supervisor=self._samplers.serving(policy),
            send=lambda sampler, batch: sampler.complete.remote([request.to(policy) for request in batch]),
            wait=self._wait,
            fallback=_fail_sampling,
            fail=_fail_sampling,
            max_given_up=1,  # each attempt loads the model again
        )
        for batch, completions in work.results(batches):
            yield answers_to(batch, completions)

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        work = BatchMap(
            supervisor=self._graders,
            send=lambda grader, batch: grader.grade.remote([(item.task, item.answer.text) for item in batch]),
            wait=self._wait,
            fallback=self._wrong,
            fail=self._fail_grading,
            max_given_up=FATAL_ANSWERS,
        )
        for batch, grades in work.results(batches):
            yield [Graded(item.answer, outcome) for item, outcome in zip(batch, grades, strict=True)]

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        with self._samplers.making_room() as gpus:
            return SupervisedTrainer(gpus, self._wait).improve(job, examples, watch)

    def close(self) -> None:
        self._samplers.close()
        self._graders.close()

    def _wait(self, calls: Sequence[Ref[object]]) -> Sequence[Ref[object]]:
        """Returns the calls that are done; none of them after a second.

        Raises:
            Interrupted: the training is to stop.
        """
        done = first_done(calls, WAIT_SECONDS)
        if self._stopped():
            raise Interrupted("The training was interrupted; everything finished is saved.")
        return done

    def _wrong(self, item: ToGrade, error: RayError) -> list[Grade]:
        logger.warning("counted as wrong, because %s", self._fatal(item, error))
        return [Grade(0.0, error="the verifier's process died of this answer")]

    def _fail_grading(self, item: ToGrade, error: RayError) -> NoReturn:
        raise TrainingError(
            f"No answer could be graded, because {self._fatal(item, error)}. Fix the verifier, or set verifier_seconds "
            "higher; then run the same command again to resume."
        )

    def _fatal(self, item: ToGrade, error: RayError) -> str:
        return (
            f"the verifier's process dies of an answer to the task {item.task.key}: grading it takes longer than "
            f"verifier_seconds = {self._verifier_seconds:g}, or all memory ({first_line(error)})"
        )


def _grader_start_error(deaths: int, reason: str) -> TrainingError:
    return TrainingError(
        f"{deaths} graders in a row died while they started: {reason} Is there enough memory? Run the same command "
        "again to resume."
    )


def _fail_sampling(request: AnswerRequest, error: RayError) -> NoReturn:
    raise SamplerError(f"The sampler dies every time it answers the task {request.task.key}: {first_line(error)}")
