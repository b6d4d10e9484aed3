"""The ports of the core, with their promises. Adapters implement them; fakes live in `funsearch.testing`.

Knows nothing about any adapter.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

from funsearch.core.records import (
    Evaluation,
    HeldOut,
    Limits,
    Point,
    Prompt,
    Reset,
    RunCounts,
    RunRecord,
    RunSummary,
    Sample,
    Snapshot,
    Status,
    Usage,
)


class Sampler(Protocol):
    """Completes prompts with a language model.

    `sample` may be called from many threads at once, and blocks until all samples of the prompt are there. How many
    samples a prompt gets is the sampler's own setting; fewer may come back only when a recorded source runs dry.
    Failures that pass (a lost connection, a busy server) are retried inside.
    """

    def sample(self, prompt: Prompt, at_most: int | None = None) -> Sequence[Sample]:
        """Returns the samples of one prompt, with index 0, 1, 2, ...; no more than `at_most` of them.

        Raises:
            SamplerError: no answer can be had and asking again will not help.
            SamplerExhausted: a recorded source has no answer left for this prompt.
        """

    def close(self) -> None:
        """Frees what the sampler holds. No call may follow."""


class CandidateFailure(Exception):
    """Raised by a call into a candidate that failed: it crashed, timed out, or sent invalid data.

    A problem evaluator must not catch it.
    """

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(f"{status}: {detail}" if detail else str(status))
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """Report on a candidate's process after its end."""

    output: str = ""
    """Standard output and error, decoded with replacement and truncated to the output limit."""
    seconds: float = 0.0
    """Wall-clock time from start to end, measured on the trusted side."""
    cpu_seconds: float = 0.0
    """Processor time used."""
    too_much_output: bool = False
    """Whether the process was ended because it exceeded the output limit."""


class CandidateProcess(Protocol):
    """A candidate program, loaded in its own confined process. Used by one thread."""

    def begin_input(self) -> None:
        """Restarts the wall clock of `Limits.seconds`; called before each input."""

    def call(self, function: str, args: Sequence[object]) -> object:
        """Calls `function(*args)` in the candidate and returns its result.

        Raises:
            CandidateFailure: the candidate raised, died, or exceeded a limit. Later calls raise the same failure.
            TypeError: an argument is of a type that cannot be sent, which is an error in the evaluator.
        """

    def call_many(self, function: str, columns: Sequence[Sequence[object]]) -> list[object]:
        """Calls `function` with the first entry of each column, with the second of each, and so on.

        There is one column for each argument, at least one, and all have the same length. The calls are made in order,
        and each result is recorded before the next call. The cost is little more than that of one `call`.

        Raises:
            CandidateFailure: as for `call`, for the first call that fails.
            TypeError: an argument is of a type that cannot be sent.
        """

    def close(self) -> ProcessReport:
        """Ends the process and all processes it started, and returns a report; a second call returns the same report.

        They are all gone before the process of another candidate is started.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Sandbox(Protocol):
    """Runs candidate programs isolated from the engine, one at a time, each in a fresh child of a warm worker.

    A candidate cannot affect later ones. Used by one thread; create one sandbox for each evaluator.
    """

    @property
    def level(self) -> str:
        """The level of confinement: L3, L2, L1 or `none`. It never changes."""

    def start(self, source: str, limits: Limits) -> CandidateProcess:
        """Executes `source`, a complete Python module, in a fresh process and returns the process.

        Raises:
            CandidateFailure: the source does not compile, or fails while it is executed.
            SandboxError: the worker has died and cannot be restarted.
        """

    def refresh(self) -> None:
        """Replaces the worker: the next candidate runs in a child of a new worker, which has run no other candidate.

        Raises:
            SandboxError: the new worker cannot be started.
        """

    def close(self) -> None:
        """Ends the worker."""


Event = Prompt | Sample | Evaluation | Reset | Snapshot
"""One thing that happened in a run."""


class Storage(Protocol):
    """Keeps runs, append-only. Used by one thread at a time; several processes may read while one writes.

    Evaluations keep the order in which they were appended over the run's whole life: the n-th is program id n, the
    first being 0. A prompt or a sample is identified by (prompt index) and (prompt index, sample index), a snapshot by
    how many evaluations had been registered; appending one twice is an error, never an update.
    """

    def create_run(self, run: RunRecord) -> None:
        """Writes a new run.

        Raises:
            StorageError: the name is taken, or the database cannot be written.
        """

    def run(self, name: str) -> RunRecord:
        """Returns the run.

        Raises:
            StorageError: there is no such run (the message names the nearest).
        """

    def runs(self) -> list[RunSummary]:
        """Returns all runs, oldest first."""

    def lease(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which this process alone may write to the run; it ends with the process at the latest.

        Raises:
            RunBusyError: another process holds it (raised on entering).
        """

    def append(self, name: str, events: Sequence[Event]) -> None:
        """Writes the events in one transaction: all of them are there afterwards, or none.

        A sample's prompt must have been appended before it, an evaluation's sample likewise (in the same call is
        enough).

        Raises:
            StorageUnavailable: the database is away (disk full, unreachable, ...). The same events, others behind them
                if need be, may be appended again later, and will be there once.
            StorageError: nothing was written; the message says why.
        """

    def set_state(self, name: str, state: str) -> None:
        """Records how the run stands, in the words of `RunSummary.state`."""

    def prompts(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts in the order of their index."""

    def samples(self, name: str) -> Iterator[Sample]:
        """Yields the samples in the order (prompt index, sample index)."""

    def evaluations(self, name: str) -> Iterator[Evaluation]:
        """Yields the evaluations in the order in which they were appended, without loading all of them at once."""

    def registered(self, name: str) -> Iterator[Evaluation]:
        """Yields what `evaluations` yields, with what registering asks for; other texts may be left empty.

        They are the texts of prompts and samples, finish reasons and models, errors and outputs.
        """

    def resets(self, name: str) -> Iterator[Reset]:
        """Yields the resets in order."""

    def snapshots(self, name: str) -> list[Snapshot]:
        """Returns the snapshots in order."""

    def unanswered(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts without any sample, in the order of their index."""

    def unevaluated(self, name: str) -> Iterator[Sample]:
        """Yields the samples without an evaluation, in the order (prompt index, sample index)."""

    def program(self, name: str, id: int) -> Evaluation:
        """Returns the evaluation that is program `id`.

        Raises:
            StorageError: there is no such program.
        """

    def best(self, name: str, top: int) -> list[tuple[int, Evaluation]]:
        """Returns up to `top` scored programs with their ids, distinct by key: best first, of equals the oldest."""

    def points(self, name: str) -> Iterator[Point]:
        """Yields the evaluations without their texts, in the order in which they were appended."""

    def heldout(self, name: str, ids: Sequence[int]) -> dict[int, HeldOut]:
        """Returns how those of the programs did on the held-out inputs that have been scored on them."""

    def add_heldout(self, name: str, found: Mapping[int, HeldOut]) -> None:
        """Writes how programs, by id, did on the held-out inputs; what is there already stays. Needs no lease.

        Raises:
            StorageError: nothing was written, or there is no such program.
        """

    def counts(self, name: str) -> RunCounts:
        """Returns the run in numbers."""

    def usage(self, name: str) -> dict[str, Usage]:
        """Returns what each model was asked for and gave, by its name."""

    def close(self) -> None:
        """Releases the connections."""
