"""The storage of runs in an SQL database, whichever it is.

Knows nothing about URLs, drivers and migrations. Every call has a connection of its own; a long stream has one for each
page, so that a slow reader keeps nothing from being tidied up.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, exists, func, insert, select, tuple_, update

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
    Usage,
)
from funsearch.errors import StorageError, StorageUnavailable
from funsearch.storage.faults import storage_errors
from funsearch.storage.leases import Leases
from funsearch.storage.rows import (
    Condition,
    add_events,
    add_heldout,
    add_models,
    add_totals,
    has_event,
    new_totals,
    of_sample,
    read_evaluations,
    read_heldout,
    read_points,
    read_prompts,
    read_registered,
    read_resets,
    read_samples,
    read_snapshots,
    read_totals,
    read_usage,
)
from funsearch.storage.tables import evaluations, prompts, runs, samples, scored, totals

Record = TypeVar("Record")

PAGE = 1000
"""Rows that a stream reads at once."""


@dataclass(slots=True)
class _Held:
    """The lease of a run that this storage holds, and the session it lives in, if it lives in one."""

    name: str
    session: Connection | None = None
    stack: ExitStack = field(default_factory=ExitStack)


class SqlStorage:
    """Keeps runs in a database; see `funsearch.core.ports.Storage` for its promises, `open_storage` for making one."""

    def __init__(self, engine: Engine, leases: Leases, label: str) -> None:
        self.engine = engine
        self.label = label
        """What messages call the database: its path, or its URL without the password."""
        self._leases = leases
        self._held: dict[int, _Held] = {}
        self._doubtful: dict[int, tuple[Event, int]] = {}
        """What may or may not have been written when the connection broke: the first event, and how many."""
        self._run_ids: dict[str, int] = {}
        self._model_ids: dict[str, int] = {}

    @property
    def folder(self) -> Path:
        """Returns the folder of a database file, or the current one for any other database."""
        url = self.engine.url
        return Path(url.database).parent if url.get_backend_name() == "sqlite" and url.database else Path()

    @property
    def leases(self) -> Leases:
        """Returns who may write to what."""
        return self._leases

    def create_run(self, run: RunRecord) -> None:
        """Writes a new run. See `Storage.create_run`."""
        with self._write() as connection:
            if connection.scalar(select(runs.c.id).where(runs.c.name == run.name)) is not None:
                raise StorageError(
                    f"there is a run called {run.name} already: take another name, or go on with "
                    f"`funsearch resume {run.name}`."
                )
            values = {
                "name": run.name,
                "problem": run.problem,
                "specification": run.specification,
                "evaluator": run.evaluator,
                "settings": dict(run.settings),
                "sandbox": run.sandbox,
                "created": run.created,
                "state": "running",
            }
            (run_id,) = connection.execute(insert(runs).values(values)).inserted_primary_key or (0,)
            new_totals(connection, run_id)

    def run(self, name: str) -> RunRecord:
        """Returns the run. See `Storage.run`."""
        run = self._run_id(name)
        with self._read() as connection:
            query = select(
                runs.c.name,
                runs.c.problem,
                runs.c.specification,
                runs.c.evaluator,
                runs.c.settings,
                runs.c.sandbox,
                runs.c.created,
            )
            return RunRecord(*connection.execute(query.where(runs.c.id == run)).one())

    def runs(self) -> list[RunSummary]:
        """Returns all runs, oldest first. One that is `running` though no process holds its lease was interrupted."""
        best = select(func.max(evaluations.c.score)).where(evaluations.c.run == runs.c.id, scored).scalar_subquery()
        query = select(runs.c.id, runs.c.name, runs.c.problem, totals.c.samples, best, runs.c.state)
        query = query.join_from(runs, totals).order_by(runs.c.id)
        with self._read() as connection:
            rows = connection.execute(query).all()
        with storage_errors(self.label):
            return [RunSummary(*row[1:-1], state=self.state(row.id, row.state)) for row in rows]

    def lease(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which this process alone may write to the run. See `Storage.lease`."""
        return self._lease(self._run_id(name), name)

    def append(self, name: str, events: Sequence[Event]) -> None:
        """Writes the events in one transaction. See `Storage.append`."""
        run = self._run_id(name)
        names = {event.model for event in events if isinstance(event, Sample)}
        try:
            with self._write(run) as connection:
                unwritten = self._unwritten(connection, run, events)
                new = add_models(connection, names - self._model_ids.keys())
                add_events(connection, run, unwritten, self._model_ids | new)
                add_totals(connection, run, unwritten)
        except StorageUnavailable:
            if events:
                self._doubtful.setdefault(run, (events[0], len(events)))
            raise
        self._doubtful.pop(run, None)
        # Only now: ids of a transaction that was rolled back may be given to others.
        self._model_ids |= new

    def set_state(self, name: str, state: str) -> None:
        """Records how the run stands."""
        run = self._run_id(name)
        with self._write(run) as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(state=state))

    def prompts(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts in the order of their index."""
        return self._stream_prompts(self._run_id(name))

    def unanswered(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts without any sample, in the order of their index."""
        answered = exists().where(samples.c.run == prompts.c.run, samples.c.prompt == prompts.c.prompt)
        return self._stream_prompts(self._run_id(name), ~answered)

    def samples(self, name: str) -> Iterator[Sample]:
        """Yields the samples in the order (prompt index, sample index)."""
        return self._stream_samples(self._run_id(name))

    def unevaluated(self, name: str) -> Iterator[Sample]:
        """Yields the samples without an evaluation, in the order (prompt index, sample index)."""
        return self._stream_samples(self._run_id(name), ~exists().where(of_sample))

    def evaluations(self, name: str) -> Iterator[Evaluation]:
        """Yields the evaluations in the order in which they were appended."""
        run = self._run_id(name)

        def page(connection: Connection, last: tuple[int, Evaluation] | None) -> list[tuple[int, Evaluation]]:
            start = last[0] + 1 if last else 0
            within = evaluations.c.program.between(start, start + PAGE - 1)
            return list(read_evaluations(connection, run, within).items())

        return (evaluation for _, evaluation in self._stream(page))

    def registered(self, name: str) -> Iterator[Evaluation]:
        """Yields the evaluations with what registering asks for. See `Storage.registered`."""
        run = self._run_id(name)

        def page(connection: Connection, last: tuple[int, Evaluation] | None) -> list[tuple[int, Evaluation]]:
            start = last[0] + 1 if last else 0
            return read_registered(connection, run, evaluations.c.program.between(start, start + 4 * PAGE - 1))

        return (evaluation for _, evaluation in self._stream(page))

    def resets(self, name: str) -> Iterator[Reset]:
        """Yields the resets in order."""
        run = self._run_id(name)
        with self._read() as connection:
            return iter(read_resets(connection, run))

    def snapshots(self, name: str) -> list[Snapshot]:
        """Returns the snapshots in order."""
        run = self._run_id(name)
        with self._read() as connection:
            return read_snapshots(connection, run)

    def program(self, name: str, id: int) -> Evaluation:
        """Returns the evaluation that is program `id`. See `Storage.program`."""
        run = self._run_id(name)
        with self._read() as connection:
            found = read_evaluations(connection, run, evaluations.c.program == id)
        if id not in found:
            raise StorageError(f"run {name} has no program {id}: see `funsearch best {name}` for those it has.")
        return found[id]

    def best(self, name: str, top: int) -> list[tuple[int, Evaluation]]:
        """Returns up to `top` scored programs with their ids, distinct by key: best first, of equals the oldest."""
        run = self._run_id(name)
        ranking = select(evaluations.c.program, evaluations.c.key).where(evaluations.c.run == run, scored)
        ranking = ranking.order_by(evaluations.c.score.desc(), evaluations.c.program)
        most = max(top, 0)
        with self._read() as connection:
            while True:
                rows = connection.execute(ranking.limit(most)).all()
                first: dict[str, int] = {}
                for id, key in rows:
                    first.setdefault(key, id)
                if len(first) >= top or len(rows) < most:
                    break
                most *= 2  # hardly ever: equal programs are marked as duplicates and not among these
            ids = list(first.values())[: max(top, 0)]
            found = read_evaluations(connection, run, evaluations.c.program.in_(ids))
        return [(id, found[id]) for id in ids]

    def points(self, name: str) -> Iterator[Point]:
        """Yields the evaluations without their texts, in the order in which they were appended."""
        run = self._run_id(name)

        def page(connection: Connection, last: Point | None) -> list[Point]:
            start = last.program + 1 if last else 0
            return read_points(connection, run, evaluations.c.program.between(start, start + 20 * PAGE - 1))

        return self._stream(page)

    def heldout(self, name: str, ids: Sequence[int]) -> dict[int, HeldOut]:
        """Returns what is known of the programs on the held-out inputs. See `Storage.heldout`."""
        run = self._run_id(name)
        with self._read() as connection:
            return read_heldout(connection, run, ids)

    def add_heldout(self, name: str, found: Mapping[int, HeldOut]) -> None:
        """Writes how programs did on the held-out inputs. See `Storage.add_heldout`."""
        run = self._run_id(name)
        with self._write() as connection:
            add_heldout(connection, run, found)

    def counts(self, name: str) -> RunCounts:
        """Returns the run in numbers."""
        run = self._run_id(name)
        with self._read() as connection:
            return read_totals(connection, run)

    def usage(self, name: str) -> dict[str, Usage]:
        """Returns what each model was asked for and gave, by its name."""
        run = self._run_id(name)
        with self._read() as connection:
            return read_usage(connection, run)

    def close(self) -> None:
        """Releases the connections."""
        self.engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with storage_errors(self.label), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _write(self, run: int | None = None) -> Iterator[Connection]:
        """Opens a transaction; one that writes to a run whose lease is held here fails when the lease is lost."""
        with storage_errors(self.label):
            session = None if run is None else self._session(run)
            if session is None:
                with self.engine.execution_options(writes=True).begin() as connection:
                    yield connection
            else:
                with session.begin():
                    yield session

    def _session(self, run: int) -> Connection | None:
        """Returns the session of the lease, taking the lease again if the session broke."""
        held = self._held.get(run)
        if held is None:
            return None
        if held.session is not None and (held.session.invalidated or held.session.closed):
            held.stack.close()
            held.session = held.stack.enter_context(self._leases.hold(run, held.name, again=True))
        return held.session

    def _unwritten(self, connection: Connection, run: int, events: Sequence[Event]) -> Sequence[Event]:
        """Returns the events without those that were written after all when the connection broke."""
        first, count = self._doubtful.get(run, (None, 0))
        if first is None or not events or events[0] is not first or not has_event(connection, run, first):
            return events
        return events[count:]

    @contextmanager
    def _lease(self, run: int, name: str) -> Iterator[None]:
        held = _Held(name)
        with storage_errors(self.label):
            held.session = held.stack.enter_context(self._leases.hold(run, name))
        self._held[run] = held
        try:
            yield
        finally:
            del self._held[run]
            held.stack.close()

    def state(self, run: int, state: str) -> str:
        """Returns how the run with that id stands, by its recorded state: `interrupted` if nobody is writing to it."""
        return "interrupted" if state == "running" and not self._leases.held(run) else state

    def _run_id(self, name: str) -> int:
        if name not in self._run_ids:
            with self._read() as connection:
                self._run_ids |= {row.name: row.id for row in connection.execute(select(runs.c.name, runs.c.id))}
        if name not in self._run_ids:
            near = difflib.get_close_matches(name, self._run_ids, n=1)
            hint = f"did you mean {near[0]}?" if near else "`funsearch list` shows what there is."
            raise StorageError(f"there is no run called {name} in {self.label}: {hint}")
        return self._run_ids[name]

    def _stream_prompts(self, run: int, *where: Condition) -> Iterator[Prompt]:
        def page(connection: Connection, last: Prompt | None) -> list[Prompt]:
            after = [prompts.c.prompt > last.index] if last else []
            return read_prompts(connection, run, *where, *after, limit=PAGE)

        return self._stream(page)

    def _stream_samples(self, run: int, *where: Condition) -> Iterator[Sample]:
        def page(connection: Connection, last: Sample | None) -> list[Sample]:
            place = tuple_(samples.c.prompt, samples.c.sample)
            after = [place > tuple_(last.prompt.index, last.index)] if last else []
            return read_samples(connection, run, *where, *after, limit=PAGE)

        return self._stream(page)

    def _stream(self, page: Callable[[Connection, Record | None], list[Record]]) -> Iterator[Record]:
        last: Record | None = None
        while True:
            with self._read() as connection:
                records = page(connection, last)
            if not records:
                return
            yield from records
            last = records[-1]
