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


@dataclass(frozen=True, slots=True, kw_only=True)
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


class TrainingReader(Protocol):
    """Reads trainings. Used by one thread at a time; several processes may read a training while one writes it.

    A training is append-only. An answer is identified by (round, phase, task, index), a policy and the record of a
    round by the round. Every method that takes the name of a training raises `StorageError` if there is no such
    training; the message suggests the closest name.
    """

    def training(self, name: str) -> TrainingRecord:
        """Returns the training.

        Raises:
            StorageError: there is no such training.
        """

    def trainings(self) -> list[TrainingSummary]:
        """Returns all trainings, oldest first."""

    def tasks(self, name: str) -> list[Task]:
        """Returns the tasks ordered by index."""

    def answered(self, name: str, round: int, phase: Phase) -> dict[int, int]:
        """Returns the number of answers of each task that has any, by the task's index."""

    def ungraded(self, name: str, round: int, phase: Phase) -> Iterator[Answer]:
        """Yields the answers without a grade, ordered by (task, index)."""

    def graded(self, name: str, round: int, phase: Phase) -> Iterator[Graded]:
        """Yields the answers with a grade, ordered by (task, index)."""

    def selected(self, name: str, round: int) -> list[Selected]:
        """Returns the answers that the round trains on, ordered by (task, answer)."""

    def policies(self, name: str | None = None) -> list[Policy]:
        """Returns the policies of one training or, without a name, of all, ordered by training and round."""

    def rounds(self, name: str) -> list[RoundRecord]:
        """Returns the records of the completed rounds, in order."""

    def close(self) -> None:
        """Releases the connections."""


class TrainingWriter(Protocol):
    """Writes trainings, append-only. Used by one thread at a time.

    One process at a time writes to a training: the one that holds its lease. Appending an event twice is an error,
    never an update. Every method that takes the name of a training raises `StorageError` if there is no such training.
    """

    def create_training(self, training: TrainingRecord, tasks: Sequence[Task]) -> None:
        """Writes a new training with its tasks, in the state `starting`.

        Raises:
            StorageError: the name is taken, or the database cannot be written to.
        """

    def lease_training(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which only this process may write to the training. The lease ends with the process.

        Raises:
            RunBusyError: another process holds the lease (raised on entering).
        """

    def set_training_state(self, name: str, state: str, stopped: str = "") -> None:
        """Records the state of the training and why it stopped; see `TrainingSummary.state` and `.stopped`."""

    def append_round(self, name: str, events: Sequence[RoundEvent]) -> None:
        """Writes the events in one transaction: either all of them are written or none.

        Raises:
            StorageError: nothing was written; the message says why.
        """

    def close(self) -> None:
        """Releases the connections."""


class TrainingStorage(TrainingReader, TrainingWriter, Protocol):
    """Reads and writes trainings. What has been appended can be read at once."""
