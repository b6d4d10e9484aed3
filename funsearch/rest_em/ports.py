"""The ports of ReST^EM, with their promises. Adapters implement them; fakes live in `funsearch.testing`.

Knows nothing about any adapter.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from funsearch.core.ports import Sampler, Sandbox
from funsearch.core.records import Prompt, Sample
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.records import (
    Answer,
    Grade,
    Graded,
    Phase,
    Policy,
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
class Sampling:
    """How answers are drawn."""

    temperature: float
    """0: the likeliest token each time."""
    top_k: int = 0
    """0: all tokens."""
    top_p: float = 1.0
    max_tokens: int = 128
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """Some answers wanted to one task."""

    task: Task
    round: int
    phase: Phase
    count: int
    sampling: Sampling
    seed: int
    """For samplers that can be seeded for one request; the same request then gets the same answers."""
    chat: bool = False


class Generator(Protocol):
    """Has policies answer. May be called from several threads at once."""

    def generate(self, requests: Sequence[Request], policy: Policy) -> list[Answer]:
        """Returns the answers to all requests, in their order, `count` to each with index 0, 1, 2, ...

        Raises:
            SamplerError: the policy cannot be loaded or does not answer.
        """

    def close(self) -> None:
        """Frees what it holds. No call may follow."""


class PolicySampler(Sampler, Generator, Protocol):
    """A sampler of searches that serves policies of its model, beside the model itself."""

    def sample(self, prompt: Prompt, at_most: int | None = None, policy: Policy | None = None) -> Sequence[Sample]:
        """Returns the samples of one prompt, by a policy if one is named. See `Sampler.sample`."""


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
"""Something that happened in a training. `Graded` stands for the grade; its answer must have been written before."""


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
