"""The workers of a training behind one port: they generate answers, grade them, and train policies.

`LocalTrainingWorkers` does one piece of work after the other in this process, for notebooks and tests; the Ray actors
are in `funsearch.cluster.training_workers`. Neither knows what a round does with the results.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from funsearch.core.completions import Completion, Form, Policy, Request, Sampling
from funsearch.core.ports import Sampler, Sandbox
from funsearch.errors import FunsearchError, TrainingError
from funsearch.rest_em.ports import (
    Example,
    Improved,
    ImproveJob,
    ImproveProgress,
    OpenVerifier,
    Trainer,
    Verifier,
)
from funsearch.rest_em.records import Answer, Grade, Graded, Phase, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRequest:
    """A request for answers to one task, beyond those that are recorded already."""

    task: Task
    round: int
    phase: Phase
    first: int
    """Index of the first answer."""
    count: int
    sampling: Sampling
    seed: int
    chat: bool
    """Whether the task is put as a message in a chat, or as a text to continue."""

    def to(self, policy: Policy) -> Request:
        """Returns the request as samplers take it."""
        form: Form = "chat" if self.chat else "text"
        title = f"the task {self.task.key}"
        return Request(
            prompt=self.task.prompt,
            count=self.count,
            index=self.task.index,
            form=form,
            sampling=self.sampling,
            seed=self.seed,
            policy=policy,
            title=title,
        )

    def answers(self, completions: Sequence[Completion]) -> list[Answer]:
        """Returns the completions as answers to the task.

        Raises:
            TrainingError: there are not as many as were requested.
        """
        if len(completions) != self.count:
            raise TrainingError(
                f"The sampler gave {len(completions)} answers to the task {self.task.key}, not the {self.count} "
                "requested."
            )
        return [
            Answer(
                round=self.round,
                phase=self.phase,
                task=self.task.index,
                index=self.first + number,
                policy=completion.model,
                text=completion.text,
                finish_reason=completion.finish_reason,
                ending=completion.ending,
                prompt_tokens=completion.prompt_tokens,
                tokens=completion.tokens,
            )
            for number, completion in enumerate(completions)
        ]


@dataclass(frozen=True, slots=True)
class ToGrade:
    """An answer with its task."""

    task: Task
    answer: Answer


class TrainingWorkers(Protocol):
    """Works through batches, which may come back in any order. Used by one thread."""

    def generate(self, batches: Iterable[Sequence[AnswerRequest]], policy: Policy) -> Iterator[list[Answer]]:
        """Yields the answers of each batch as soon as all of them are there.

        Raises:
            SamplerError: the policy gives no answers.
        """

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        """Yields the grades of each batch.

        Raises:
            TrainingError: the verifier itself failed; the message names the task.
            SandboxError: answers cannot be run at all.
        """

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        """Trains a policy, after the sampler has released its memory. See `Trainer.improve`."""

    def close(self) -> None:
        """Stops all workers."""


class LocalTrainingWorkers:
    """Does all work in this process."""

    def __init__(
        self,
        sampler: Callable[[], Sampler],
        verifier: OpenVerifier,
        sandbox: Callable[[], Sandbox],
        trainer: Trainer,
    ) -> None:
        self._make_sampler = sampler
        self._make_verifier = verifier
        self._sandbox = sandbox
        self._trainer = trainer
        self._sampler: Sampler | None = None
        self._verifier: Verifier | None = None

    def generate(self, batches: Iterable[Sequence[AnswerRequest]], policy: Policy) -> Iterator[list[Answer]]:
        for batch in batches:
            if self._sampler is None:
                self._sampler = self._make_sampler()
            yield answers_to(batch, self._sampler.complete([request.to(policy) for request in batch]))

    def grade(self, batches: Iterable[Sequence[ToGrade]]) -> Iterator[list[Graded]]:
        for batch in batches:
            if self._verifier is None:
                self._verifier = self._make_verifier(self._sandbox)
            yield [Graded(one.answer, grade(self._verifier, one.task, one.answer.text)) for one in batch]

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        self._close_sampler()
        return self._trainer.improve(job, examples, watch)

    def close(self) -> None:
        self._close_sampler()
        if self._verifier is not None:
            self._verifier.close()
            self._verifier = None

    def _close_sampler(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None


def answers_to(requests: Sequence[AnswerRequest], completions: Sequence[Sequence[Completion]]) -> list[Answer]:
    """Returns the answers to all requests, in their order.

    Raises:
        TrainingError: there are not as many as were requested.
    """
    pairs = zip(requests, completions, strict=True)
    return [answer for request, texts in pairs for answer in request.answers(texts)]


def grade(verifier: Verifier, task: Task, text: str) -> Grade:
    """Returns the grade of an answer.

    Raises:
        TrainingError: the verifier raised an exception of its own.
    """
    # A verifier may be the user's code, and it reads what a model wrote.
    try:
        return verifier.grade(task, text)
    except FunsearchError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The verifier {type(verifier).__name__} raised {type(error).__name__} on the task {task.key}: {error}. "
            "Fix the verifier, then run the same command again to resume."
        ) from error
