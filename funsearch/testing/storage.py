"""A storage that keeps runs in memory, for tests and notebooks. Knows nothing about databases."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from funsearch.core.ports import Event
from funsearch.core.records import (
    Evaluation,
    HeldOut,
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
from funsearch.errors import RunBusyError, StorageError

Id = TypeVar("Id", int, tuple[int, int])
Record = TypeVar("Record")


@dataclass(slots=True)
class _Books:
    """What happened in a run, by what identifies it; the evaluations are in the order in which they came."""

    prompts: dict[int, Prompt] = field(default_factory=dict)
    samples: dict[tuple[int, int], Sample] = field(default_factory=dict)
    evaluations: dict[tuple[int, int], Evaluation] = field(default_factory=dict)
    resets: dict[int, Reset] = field(default_factory=dict)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    record: RunRecord
    state: str = "running"
    held: bool = False
    books: _Books = field(default_factory=_Books)
    programs: list[Evaluation] = field(default_factory=list)
    heldout: dict[int, HeldOut] = field(default_factory=dict)


class MemoryStorage:
    """Keeps the promises of `funsearch.core.ports.Storage` as long as the object lives; `close` forgets nothing."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def create_run(self, run: RunRecord) -> None:
        if run.name in self._runs:
            raise StorageError(f"there is a run called {run.name} already: take another name.")
        self._runs[run.name] = _Run(run)

    def run(self, name: str) -> RunRecord:
        return self._run(name).record

    def runs(self) -> list[RunSummary]:
        return [self._summary(name, run) for name, run in self._runs.items()]

    def lease(self, name: str) -> AbstractContextManager[None]:
        return self._lease(self._run(name))

    def append(self, name: str, events: Sequence[Event]) -> None:
        run = self._run(name)
        old, new = run.books, _Books()
        for event in events:
            match event:
                case Prompt():
                    _put(new.prompts, old.prompts, event.index, event)
                case Sample():
                    _put(new.samples, old.samples, (event.prompt.index, event.index), event)
                case Evaluation():
                    sample = event.sample
                    _put(new.evaluations, old.evaluations, (sample.prompt.index, sample.index), event)
                case Reset():
                    _put(new.resets, old.resets, event.index, event)
                case Snapshot():
                    _put(new.snapshots, old.snapshots, event.evaluations, event)
        _check_known({prompt for prompt, _ in new.samples}, old.prompts, new.prompts)
        _check_known(set(new.evaluations), old.samples, new.samples)
        old.prompts |= new.prompts
        old.samples |= new.samples
        old.evaluations |= new.evaluations
        old.resets |= new.resets
        old.snapshots |= new.snapshots
        run.programs += new.evaluations.values()

    def set_state(self, name: str, state: str) -> None:
        self._run(name).state = state

    def prompts(self, name: str) -> Iterator[Prompt]:
        return iter(_in_order(self._run(name).books.prompts))

    def unanswered(self, name: str) -> Iterator[Prompt]:
        answered = {prompt for prompt, _ in self._run(name).books.samples}
        return (prompt for prompt in self.prompts(name) if prompt.index not in answered)

    def samples(self, name: str) -> Iterator[Sample]:
        return iter(_in_order(self._run(name).books.samples))

    def unevaluated(self, name: str) -> Iterator[Sample]:
        judged = set(self._run(name).books.evaluations)
        return (sample for sample in self.samples(name) if (sample.prompt.index, sample.index) not in judged)

    def evaluations(self, name: str) -> Iterator[Evaluation]:
        return iter(self._run(name).programs)

    def registered(self, name: str) -> Iterator[Evaluation]:
        return self.evaluations(name)

    def resets(self, name: str) -> Iterator[Reset]:
        return iter(_in_order(self._run(name).books.resets))

    def snapshots(self, name: str) -> list[Snapshot]:
        return _in_order(self._run(name).books.snapshots)

    def program(self, name: str, id: int) -> Evaluation:
        programs = self._run(name).programs
        if not 0 <= id < len(programs):
            raise StorageError(f"run {name} has no program {id}: it has {len(programs)}, the first being 0.")
        return programs[id]

    def best(self, name: str, top: int) -> list[tuple[int, Evaluation]]:
        ranked = sorted(_scored(self._run(name)), key=lambda item: -item[2])
        first: dict[str, tuple[int, Evaluation]] = {}
        for id, evaluation, _ in ranked:
            first.setdefault(evaluation.key, (id, evaluation))
        return list(first.values())[: max(top, 0)]

    def points(self, name: str) -> Iterator[Point]:
        return (
            Point(id, e.sample.prompt.island, e.status, e.score, e.duplicate_of is not None)
            for id, e in enumerate(self._run(name).programs)
        )

    def heldout(self, name: str, ids: Sequence[int]) -> dict[int, HeldOut]:
        known = self._run(name).heldout
        return {id: known[id] for id in ids if id in known}

    def add_heldout(self, name: str, found: Mapping[int, HeldOut]) -> None:
        run = self._run(name)
        _check_known(set(found), dict(enumerate(run.programs)), {})
        run.heldout = {**found, **run.heldout}

    def counts(self, name: str) -> RunCounts:
        run = self._run(name)
        asked = [sample for sample in run.books.samples.values() if sample.prompt.index >= 0]
        judged = [evaluation for evaluation in run.programs if evaluation.sample.prompt.index >= 0]
        own = [
            evaluation for evaluation in judged if evaluation.duplicate_of is None and evaluation.function is not None
        ]
        return RunCounts(
            samples=len(asked),
            evaluated=len(own),
            valid=sum(evaluation.status is Status.OK for evaluation in own),
            duplicates=sum(evaluation.duplicate_of is not None for evaluation in judged),
            tokens=sum(sample.tokens for sample in asked),
            best_score=max((score for _, _, score in _scored(run)), default=None),
            prompts=sum(index >= 0 for index in run.books.prompts),
        )

    def usage(self, name: str) -> dict[str, Usage]:
        used: dict[str, Usage] = {}
        for sample in self._run(name).books.samples.values():
            if sample.prompt.index >= 0:
                so_far = used.get(sample.model, Usage())
                used[sample.model] = Usage(
                    so_far.samples + 1, so_far.prompt_tokens + sample.prompt_tokens, so_far.tokens + sample.tokens
                )
        return used

    def close(self) -> None:
        """Does nothing: there is nothing to release."""

    def _run(self, name: str) -> _Run:
        if name not in self._runs:
            near = difflib.get_close_matches(name, self._runs, n=1)
            raise StorageError(
                f"there is no run called {name}: " + (f"did you mean {near[0]}?" if near else "create it.")
            )
        return self._runs[name]

    def _summary(self, name: str, run: _Run) -> RunSummary:
        counts = self.counts(name)
        state = "interrupted" if run.state == "running" and not run.held else run.state
        return RunSummary(name, run.record.problem, counts.samples, counts.best_score, state)

    @contextmanager
    def _lease(self, run: _Run) -> Iterator[None]:
        if run.held:
            raise RunBusyError(f"run {run.record.name} is being written by this process: wait for it, or stop it.")
        run.held = True
        try:
            yield
        finally:
            run.held = False


def _put(new: dict[Id, Record], old: Mapping[Id, Record], id: Id, record: Record) -> None:
    if id in old or id in new:
        raise StorageError(f"nothing was written: {type(record).__name__.lower()} {id} is there already.")
    new[id] = record


def _check_known(wanted: set[Id], old: Mapping[Id, object], new: Mapping[Id, object]) -> None:
    for id in wanted - old.keys() - new.keys():
        raise StorageError(f"nothing was written: an event refers to {id}, which is not there.")


def _in_order(records: Mapping[Id, Record]) -> list[Record]:
    return [record for _, record in sorted(records.items(), key=lambda item: item[0])]


def _scored(run: _Run) -> list[tuple[int, Evaluation, float]]:
    return [
        (id, evaluation, evaluation.score)
        for id, evaluation in enumerate(run.programs)
        if evaluation.score is not None and evaluation.duplicate_of is None
    ]
