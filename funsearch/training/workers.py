"""The workers of a training behind one port: they generate answers, grade them, and train policies.

`LocalTrainingWorkers` does one piece of work after the other in this process, for notebooks and tests; the Ray actors
are in `funsearch.cluster.training_workers`. Neither knows what a round does with the results.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from funsearch.core.ports import Sandbox
from funsearch.errors import FunsearchError, TrainingError
from funsearch.rest_em.ports import (
    Example,
    Generator,
    Improved,
    ImproveJob,
    ImproveProgress,
    OpenVerifier,
    Request,
    Trainer,
    Verifier,
)
from funsearch.rest_em.records import Answer, Grade, Graded, Policy, Task


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for answers beyond those that are there."""

    request: Request
    first: int = 0
    """Index of the first answer."""


@dataclass(frozen=True, slots=True)
class ToGrade:
    """An answer with its task."""

    task: Task
    answer: Answer


class TrainingWorkers(Protocol):
    """Does what it is asked to, batch by batch; batches come back in any order. Used by one thread."""

    def generate(self, batches: Iterable[Sequence[Asked]], policy: Policy) -> Iterator[list[Answer]]:
        """Yields the answers of each batch as soon as all of them are there.

        Raises:
            SamplerError: the policy does not answer.
        """

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        """Yields the grades of each batch.

        Raises:
            TrainingError: the verifier itself fails; names the task.
            SandboxError: answers cannot be run at all.
        """

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        """Trains a policy; whatever samples gives its memory free before. See `Trainer.improve`."""

    def close(self) -> None:
        """Ends whoever works."""


class LocalTrainingWorkers:
    """Works in this process."""

    def __init__(
        self,
        generator: Callable[[], Generator],
        verifier: OpenVerifier,
        sandbox: Callable[[], Sandbox],
        trainer: Trainer,
    ) -> None:
        self._make_generator = generator
        self._make_verifier = verifier
        self._sandbox = sandbox
        self._trainer = trainer
        self._generator: Generator | None = None
        self._verifier: Verifier | None = None

    def generate(self, batches: Iterable[Sequence[Asked]], policy: Policy) -> Iterator[list[Answer]]:
        for batch in batches:
            if self._generator is None:
                self._generator = self._make_generator()
            yield placed(batch, self._generator.generate([asked.request for asked in batch], policy))

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        for batch in batches:
            if self._verifier is None:
                self._verifier = self._make_verifier(self._sandbox)
            yield [Graded(one.answer, grade(self._verifier, one.task, one.answer.text)) for one in batch]

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        self._rest()
        return self._trainer.improve(job, examples, watch)

    def close(self) -> None:
        self._rest()
        if self._verifier is not None:
            self._verifier.close()
            self._verifier = None

    def _rest(self) -> None:
        if self._generator is not None:
            self._generator.close()
            self._generator = None


def placed(batch: Sequence[Asked], answers: Sequence[Answer]) -> list[Answer]:
    """Returns answers with the indices that were asked for.

    Raises:
        TrainingError: they are not as many as were asked for.
    """
    if len(answers) != sum(asked.request.count for asked in batch):
        raise TrainingError(f"The sampler gave {len(answers)} answers, not as many as it was asked for.")
    found, rest = [], iter(answers)
    for asked in batch:
        found += [replace(next(rest), index=asked.first + number) for number in range(asked.request.count)]
    return found


def grade(verifier: Verifier, task: Task, text: str) -> Grade:
    """Returns the grade of an answer.

    Raises:
        TrainingError: the verifier raised what it may not.
    """
    # A verifier may be anybody's, and what it meets was written by a model.
    try:
        return verifier.grade(task, text)
    except FunsearchError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The verifier {type(verifier).__name__} raised {type(error).__name__} on the task {task.key}: {error}. "
            "Mend it; the same command goes on."
        ) from error
