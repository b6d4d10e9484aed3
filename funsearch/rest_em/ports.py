"""The ports of ReST^EM, with their promises. Adapters implement them; fakes live in `funsearch.testing`.

Knows nothing about any adapter.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

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
        """Returns the grade of one answer; an answer that is wrong, unreadable or hostile has reward 0.

        Raises:
            SandboxError: answers cannot be run at all.
        """

    def close(self) -> None:
        """Frees what it holds."""


OpenVerifier = Callable[[Callable[[], Sandbox]], Verifier]
"""Makes a verifier; one that runs programs opens a sandbox for itself by the argument."""


class TaskSet(Protocol):
    """Prompts with a verifier. Plain data: it is sent to other processes.

    A package declares one as an entry point of the group `funsearch.task_sets`: NAME = "module:factory", called as
    `factory(argument, options)` with what the user wrote after `NAME:`, or nothing.
    """

    @property
    def name(self) -> str:
        """Returns what the task set is called."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Returns the texts that end an answer where the model completes texts."""

    @property
    def max_tokens(self) -> int:
        """Returns how many tokens are enough for a right answer."""

    @property
    def across_tasks(self) -> bool:
        """Returns whether equal answers to different tasks are duplicates."""

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        """Returns the tasks, indexed from 0; the same for the same arguments.

        Args:
            options: of the training.
            chat: whether a prompt is a request in a chat, or a text to go on with.
            seed: of what is drawn.

        Raises:
            TrainingError: they cannot be had; names file and line, or value.
        """

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        """Returns what makes a verifier in another process: plain data, and no more of it than a verifier needs."""

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        """Yields answers that are there already, for the first round to train on; none means that it generates."""


@dataclass(frozen=True, slots=True)
class Example:
    """What a policy is to write; with DPO, what it is to write rather than something else."""

    prompt: str
    completion: str
    ending: str = ""
    """The text that ended the completion; empty when the model is to end with its own token."""
    rejected: str | None = None
    rejected_ending: str = ""


@dataclass(frozen=True, slots=True)
class ImproveJob:
    """One M-step: from the base model, never from the policy before."""

    policy: str
    """Name of the policy to be made."""
    base: str
    folder: str
    """Where its weights go; checkpoints are kept beside it until it is whole."""
    chat: bool
    seed: int
    options: Any
    """The trainer's own options, plain data."""


@dataclass(frozen=True, slots=True)
class ImproveProgress:
    """How an M-step stands."""

    step: int
    steps: int
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Improved:
    """What an M-step made."""

    kind: Literal["lora", "full"]
    figures: dict[str, float] = field(default_factory=dict)


class Trainer(Protocol):
    """Trains a policy from the base model (the M-step)."""

    def improve(
        self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
    ) -> Improved:
        """Returns when the policy's folder is whole; one that is whole already is left as it is.

        After a crash the same call goes on from the latest checkpoint.

        Raises:
            TrainingError: it cannot be trained; says why and what to do.
        """


RoundEvent = Answer | Graded | Selected | Policy | RoundRecord
"""One thing that happened in a training. `Graded` is the grade; its answer is there before it."""


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
