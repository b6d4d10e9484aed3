"""The ports of the core, with their promises. Adapters implement them; fakes live in `funsearch.testing`.

Knows nothing about any adapter.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from funsearch.core.completions import Completion, Request, SamplerStats
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
    """Raised out of a call into a candidate that cannot go on: it crashed, ran out of time, sent nonsense.

    A problem evaluator lets it pass.
    """

    def __init__(self, status: Status, detail: str = "") -> None:
        super().__init__(f"{status}: {detail}" if detail else str(status))
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What is known of a candidate's process once it is gone."""

    output: str = ""
    """Standard output and error, decoded with replacement, cut off at the cap."""
    seconds: float = 0.0
    """Wall clock from start to end, measured on the trusted side."""
    cpu_seconds: float = 0.0
    too_much_output: bool = False
    """Whether it wrote more than the cap and was ended for it."""


class CandidateProcess(Protocol):
    """One candidate program, loaded in a confined process of its own. Used by one thread."""

    def begin_input(self) -> None:
        """Starts the wall clock of `Limits.seconds` anew; called before each input."""

    def call(self, function: str, args: Sequence[Any]) -> Any:
        """Returns what `function(*args)` returns in the candidate.

        Raises:
            CandidateFailure: the candidate raised, died, or ran out of a limit. Every later call raises the same.
            TypeError: an argument is of a type that does not cross the boundary (the evaluator's fault).
        """

    def call_many(self, function: str, columns: Sequence[Sequence[Any]]) -> list[Any]:
        """Returns what `function` returns for the first of each column, for the second of each, and so on.

        There is a column for each argument, at least one, and all are of one length. The calls are made one after the
        other, and each result is taken before the next; all of it costs little more than one `call`.

        Raises:
            CandidateFailure: as `call`, for the first that fails.
            TypeError: an argument is of a type that does not cross the boundary.
        """

    def close(self) -> ProcessReport:
        """Ends the process and whatever it started, and reports. Calling it again returns the same report.

        All of it is gone before another candidate's process comes to be.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Sandbox(Protocol):
    """Runs candidate programs apart from the engine, one at a time, each in a fresh child of a warm worker.

    Nothing a candidate does changes a later one. Used by one thread; make one sandbox per evaluator.
    """

    @property
    def level(self) -> str:
        """Returns the level of confinement: L3, L2, L1 or `none`. It never changes."""

    def start(self, source: str, limits: Limits) -> CandidateProcess:
        """Returns a process that has executed `source` (a whole Python module).

        Raises:
            CandidateFailure: the source does not compile or fails while it is executed.
            SandboxError: the worker is gone and could not be started again.
        """

    def refresh(self) -> None:
        """Has the next candidate run in a child of a new worker, which no other candidate has been near.

        Raises:
            SandboxError: it cannot be started.
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
