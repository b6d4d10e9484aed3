"""The storage of runs in an SQL database, whichever it is.

Knows nothing about URLs, drivers and migrations. Every call has a connection of its own; a long stream has one for each
page, so that a slow reader keeps nothing from being tidied up.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
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
    Status,
)
from funsearch.errors import StorageError
from funsearch.storage.faults import storage_errors
from funsearch.storage.leases import Leases
from funsearch.storage.rows import (
    Condition,
    add_events,
    add_heldout,
    add_models,
    of_sample,
    read_evaluations,
    read_heldout,
    read_points,
    read_prompts,
    read_resets,
    read_samples,
    read_snapshots,
)
from funsearch.storage.tables import evaluations, prompts, runs, samples, scored

Record = TypeVar("Record")

PAGE = 1000
"""Rows that a stream reads at once."""
_ASKED = samples.c.prompt >= 0
"""The first program has a prompt (-1) that nobody asked, and counts as no sample."""


class SqlStorage:
    """Keeps runs in a database; see `funsearch.core.ports.Storage` for its promises, `open_storage` for making one."""

    def __init__(self, engine: Engine, leases: Leases, label: str) -> None:
        self.engine = engine
        self.label = label
        """What messages call the database: its path, or its URL without the password."""
        self._leases = leases
        self._run_ids: dict[str, int] = {}
        self._model_ids: dict[str, int] = {}

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
            connection.execute(insert(runs).values(values))

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
        count = select(func.count()).where(samples.c.run == runs.c.id, _ASKED).scalar_subquery()
        best = select(func.max(evaluations.c.score)).where(evaluations.c.run == runs.c.id, scored).scalar_subquery()
        query = select(runs.c.id, runs.c.name, runs.c.problem, count, best, runs.c.state).order_by(runs.c.id)
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
        with self._write() as connection:
            new = add_models(connection, names - self._model_ids.keys())
            add_events(connection, run, events, self._model_ids | new)
        # Only now: ids of a transaction that was rolled back may be given to others.
        self._model_ids |= new

    def set_state(self, name: str, state: str) -> None:
        """Records how the run stands."""
        run = self._run_id(name)
        with self._write() as connection:
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
        ids: dict[str, int] = {}
        with self._read() as connection:
            for id, key in connection.execute(ranking.order_by(evaluations.c.score.desc(), evaluations.c.program)):
                if len(ids) >= top:
                    break
                ids.setdefault(key, id)
            found = read_evaluations(connection, run, evaluations.c.program.in_(ids.values()))
        return [(id, found[id]) for id in ids.values()]

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
        of_samples = select(func.count(), func.sum(samples.c.tokens)).where(samples.c.run == run, _ASKED)
        asked = evaluations.c.duplicate_of.is_(None) & evaluations.c.body.is_not(None)
        of_evaluations = select(
            func.count().filter(asked),
            func.count().filter(asked, evaluations.c.status == Status.OK.value),
            func.count(evaluations.c.duplicate_of),
        ).where(evaluations.c.run == run, evaluations.c.prompt >= 0)
        best = select(func.max(evaluations.c.score)).where(evaluations.c.run == run, scored)
        with self._read() as connection:
            count, tokens = connection.execute(of_samples).one()
            judged, valid, duplicates = connection.execute(of_evaluations).one()
            return RunCounts(count, judged, valid, duplicates, int(tokens or 0), connection.scalar(best))

    def close(self) -> None:
        """Releases the connections."""
        self.engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with storage_errors(self.label), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with storage_errors(self.label), self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    @contextmanager
    def _lease(self, run: int, name: str) -> Iterator[None]:
        with storage_errors(self.label), self._leases.hold(run, name):
            yield

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
