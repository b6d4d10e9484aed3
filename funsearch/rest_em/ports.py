"""The ports of ReST^EM and what they promise. Adapters implement them; fakes live in `funsearch.testing`.

Knows nothing about any adapter.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from funsearch.core.completions import Policy
from funsearch.core.ports import Sandbox
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.records import (
    Answer,
    Grade,
    Graded,
    Phase,
    RoundRecord,
    Selected,
    Task,
    TrainingRecord,
    TrainingSummary,
)


class Verifier(Protocol):
    """Grades answers. Used by one thread."""

    def grade(self, task: Task, text: str) -> Grade:
        """Returns the grade of one answer; an answer that is wrong, unreadable or hostile gets reward 0.

        Raises:
            SandboxError: no answer can be run.
        """

    def close(self) -> None:
        """Releases its resources."""


OpenVerifier = Callable[[Callable[[], Sandbox]], Verifier]
"""Makes a verifier. The argument opens a sandbox, for verifiers that run programs."""


class TaskSet(Protocol):
    """Prompts with a verifier. Plain data: it is sent to other processes.

    A package declares one as an entry point of the group `funsearch.task_sets`: NAME = "module:factory", called as
    `factory(argument, options)` with the text that the user wrote after `NAME:`, which may be empty.
    """

    @property
    def name(self) -> str:
        """Name of the task set."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end an answer where the model completes texts."""

    @property
    def max_tokens(self) -> int:
        """Number of tokens that suffice for a correct answer."""

    @property
    def across_tasks(self) -> bool:
        """Whether equal answers to different tasks are duplicates."""

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        """Returns the tasks, indexed from 0; the same for the same arguments.

        Args:
            options: of the training.
            chat: whether a prompt is a request in a chat, or a text to complete.
            seed: of the random draws.

        Raises:
            TrainingError: the tasks cannot be read or generated; names file and line, or the value.
        """

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        """Returns a function that makes a verifier in another process: plain data, no more than a verifier needs."""

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        """Yields existing answers for the first round to train on; if there are none, that round generates its own."""


@dataclass(frozen=True, slots=True)
class Example:
    """A completion to train on; with DPO, one that is preferred to `rejected`."""

    prompt: str
    completion: str
    ending: str = ""
    """The stop text that ended the completion; empty if the model should end it with its own token."""
    rejected: str | None = None
    rejected_ending: str = ""


@dataclass(frozen=True, slots=True)
class ImproveJob:
    """One M-step: trains from the base model, never from the previous policy."""

    policy: str
    """Name of the policy to train."""
    base: str
    folder: str
    """Where its weights are written; checkpoints are kept beside it until it is complete."""
    chat: bool
    seed: int
    options: object
    """The trainer's own options, plain data."""


@dataclass(frozen=True, slots=True)
class ImproveProgress:
    """Progress of an M-step."""

    step: int
    steps: int
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Improved:
    """The result of an M-step."""

    kind: Literal["lora", "full"]
    figures: dict[str, float] = field(default_factory=dict)


class Trainer(Protocol):
    """Trains a policy from the base model (the M-step)."""

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        """Returns when the policy's folder is complete; a folder that is complete already is left unchanged.

        After a crash the same call resumes from the latest checkpoint.

        Raises:
            TrainingError: the policy cannot be trained; says why and what to do.
        """


RoundEvent = Answer | Graded | Selected | Policy | RoundRecord
"""One event of a training. `Graded` stores the grade; its answer is stored before it."""


class TrainingStorage(Protocol):
    """Keeps trainings, append-only. Used by one thread at a time; several processes may read while one writes.

    An answer is identified by (round, phase, task, index), a policy and a round's record by the round; appending
    one twice is an error, never an update.
    """

    def create_training(self, training: TrainingRecord, tasks: Sequence[Task]) -> None:
        """Writes a new training with its tasks.

        Raises:
            StorageError: the name is taken, or the database cannot be written.
        """

    def training(self, name: str) -> TrainingRecord:
        """Returns the training.

        Raises:
            StorageError: there is no such training (the message names the nearest).
        """

    def trainings(self) -> list[TrainingSummary]:
        """Returns all trainings, oldest first."""

    def lease_training(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which this process alone may write to the training.

        Raises:
            RunBusyError: another process holds it (raised on entering).
        """

    def set_training_state(self, name: str, state: str) -> None:
        """Records how the training stands: `running`, `interrupted`, `failed`, or why it stopped."""

    def append_round(self, name: str, events: Sequence[RoundEvent]) -> None:
        """Writes the events in one transaction: all of them are there afterwards, or none.

        Raises:
            StorageError: nothing was written; the message says why.
        """

    def tasks(self, name: str) -> list[Task]:
        """Returns the tasks in the order of their index."""

    def answered(self, name: str, round: int, phase: Phase) -> dict[int, int]:
        """Returns how many answers each task has; tasks without any are missing."""

    def ungraded(self, name: str, round: int, phase: Phase) -> Iterator[Answer]:
        """Yields the answers without a grade, in the order (task, index)."""

    def graded(self, name: str, round: int, phase: Phase) -> Iterator[Graded]:
        """Yields the answers with a grade, in the order (task, index)."""

    def selected(self, name: str, round: int) -> list[Selected]:
        """Returns what the round trains on, in the order (task, answer)."""

    def policies(self, name: str | None = None) -> list[Policy]:
        """Returns the policies of a training, or of all, in the order of trainings and rounds."""

    def rounds(self, name: str) -> list[RoundRecord]:
        """Returns the rounds that have ended, in order."""

    def close(self) -> None:
        """Releases the connections."""
