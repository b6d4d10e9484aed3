"""The ports of the core, with their promises. Adapters implement them; fakes live in `funsearch.testing`.

Knows nothing about any adapter.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, Self

from funsearch.core.completions import Completion, Request, SamplerStats
from funsearch.core.records import (
    Evaluation,
    HeldOut,
    Limits,
    Point,
    Prompt,
    Reset,
    RunRecord,
    RunSummary,
    Sample,
    Snapshot,
    Status,
    Tally,
    Usage,
)


class Sampler(Protocol):
    """Completes prompts with a language model, an endpoint or recorded answers.

    All methods may be called from many threads at once. `complete` blocks until every completion is there. Failures
    that pass (a lost connection, a busy server) are retried inside.
    """

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """Returns the completions of each request, in the order of the requests.

        Each list has `Request.count` completions, or fewer where a recorded source has no more for that prompt.

        Raises:
            SamplerError: no completion can be had and asking again will not help; also for a policy that it does not
                serve, or a form of prompt that it does not know.
            SamplerExhausted: a recorded source has no answer left for a prompt.
        """

    def stats(self) -> SamplerStats | None:
        """Returns what has been done and what is queued; None if the sampler keeps no queue."""

    def close(self) -> None:
        """Releases what the sampler holds. No call may follow."""


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
"""Something that happened in a run."""


class RunReader(Protocol):
    """Reads runs. Used by one thread at a time; several processes may read a run while one writes it.

    A run is append-only. Its evaluations keep the order in which they were appended over the run's whole life: the
    n-th is the program with id n, starting at 0. A prompt is identified by its index, a sample by (prompt index, sample
    index), and a snapshot by the number of evaluations that had been registered. Every method that takes the name of a
    run raises `StorageError` if there is no such run; the message suggests the closest name.
    """

    def run(self, name: str) -> RunRecord:
        """Returns the run.

        Raises:
            StorageError: there is no such run.
        """

    def runs(self) -> list[RunSummary]:
        """Returns all runs, oldest first."""

    def prompts(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts ordered by index."""

    def samples(self, name: str) -> Iterator[Sample]:
        """Yields the samples ordered by (prompt index, sample index)."""

    def evaluations(self, name: str) -> Iterator[Evaluation]:
        """Yields the evaluations in the order in which they were appended, without loading all of them at once."""

    def registered(self, name: str) -> Iterator[Evaluation]:
        """Yields the evaluations like `evaluations`, but only with what is needed to register them again.

        The texts of prompts and samples, finish reasons, models, errors and outputs may be empty.
        """

    def resets(self, name: str) -> Iterator[Reset]:
        """Yields the resets in order."""

    def snapshots(self, name: str) -> list[Snapshot]:
        """Returns the snapshots in order."""

    def unanswered(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts without samples, ordered by index."""

    def unevaluated(self, name: str) -> Iterator[Sample]:
        """Yields the samples without an evaluation, ordered by (prompt index, sample index)."""

    def program(self, name: str, id: int) -> Evaluation:
        """Returns the evaluation of the program `id`.

        Raises:
            StorageError: there is no such program.
        """

    def best(self, name: str, top: int) -> list[tuple[int, Evaluation]]:
        """Returns up to `top` scored programs with their ids: distinct by key, best first, the oldest first on ties."""

    def points(self, name: str) -> Iterator[Point]:
        """Yields the evaluations without their texts, in the order in which they were appended."""

    def heldout(self, name: str, ids: Sequence[int]) -> dict[int, HeldOut]:
        """Returns the results of programs on the held-out inputs by id, for those of `ids` that have been scored."""

    def counts(self, name: str) -> Tally:
        """Returns the counts of the run, over its whole life."""

    def usage(self, name: str) -> dict[str, Usage]:
        """Returns the number of samples and tokens of each model, by the model's name."""

    def close(self) -> None:
        """Releases the connections."""


class RunWriter(Protocol):
    """Writes runs, append-only. Used by one thread at a time.

    One process at a time writes to a run: the one that holds its lease. Appending an event twice is an error, never an
    update. Every method that takes the name of a run raises `StorageError` if there is no such run.
    """

    def create_run(self, run: RunRecord) -> None:
        """Writes a new run, in the state `starting`.

        Raises:
            StorageError: the name is taken, or the database cannot be written to.
        """

    def lease(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which only this process may write to the run. The lease ends with the process.

        Raises:
            RunBusyError: another process holds the lease (raised on entering).
        """

    def append(self, name: str, events: Sequence[Event]) -> None:
        """Writes the events in one transaction: either all of them are written or none.

        The prompt of a sample and the sample of an evaluation must have been appended before, or in the same call.

        Raises:
            StorageUnavailable: the database is unavailable for now (disk full, server unreachable, ...). The caller may
                append the same events again later, followed by others if need be; each is written exactly once.
            StorageError: nothing was written; the message says why.
        """

    def set_state(self, name: str, state: str, stopped: str = "") -> None:
        """Records the state of the run and why it stopped; see `RunSummary.state` and `RunSummary.stopped`."""

    def add_heldout(self, name: str, results: Mapping[int, HeldOut]) -> None:
        """Writes the results of programs on the held-out inputs, by id; existing results are kept. Needs no lease.

        Raises:
            StorageError: nothing was written, or there is no such program.
        """

    def close(self) -> None:
        """Releases the connections."""


class RunStorage(RunReader, RunWriter, Protocol):
    """Reads and writes runs. What has been appended can be read at once."""
