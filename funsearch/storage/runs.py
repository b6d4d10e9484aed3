"""Runs in the database: implements `funsearch.core.ports.RunStorage`, whose docstrings hold the promises.

Knows nothing about how records become rows (see `funsearch.storage.rows`), nor about trainings.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, exists, func, insert, select, tuple_, update

from funsearch.core.ports import Event
from funsearch.core.records import (
    Evaluation,
    HeldOut,
    Point,
    Prompt,
    Reset,
    RunRecord,
    RunSummary,
    Sample,
    Snapshot,
    Tally,
    Usage,
)
from funsearch.errors import StorageError, StorageUnavailable
from funsearch.storage.connections import PAGE, Connections, unknown_name
from funsearch.storage.records import record
from funsearch.storage.rows import (
    Condition,
    add_events,
    add_heldout,
    add_models,
    has_event,
    of_sample,
    read_evaluations,
    read_heldout,
    read_points,
    read_prompts,
    read_registered,
    read_resets,
    read_samples,
    read_snapshots,
)
from funsearch.storage.tables import evaluations, prompts, runs, samples, scored, totals
from funsearch.storage.totals import add_totals, new_totals, read_totals, read_usage


class SqlRuns:
    """The part of `SqlStorage` that keeps runs."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections
        self._unconfirmed: dict[int, tuple[Event, int]] = {}
        """By run, the first of the events that may or may not have been written when a connection broke, and their
        number."""
        self._run_ids: dict[str, int] = {}
        self._model_ids: dict[str, int] = {}

    def create_run(self, run: RunRecord) -> None:
        """Writes a new run. See `RunWriter.create_run`."""
        with self.connections.write() as connection:
            if connection.scalar(select(runs.c.id).where(runs.c.name == run.name)) is not None:
                raise StorageError(
                    f"there is already a run called {run.name}: choose another name, or continue it with "
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
                "state": "starting",
            }
            new_totals(connection, connection.execute(insert(runs).values(values).returning(runs.c.id)).scalar_one())

    def run(self, name: str) -> RunRecord:
        """Returns the run. See `RunReader.run`."""
        run = self._run_id(name)
        query = select(
            runs.c.name,
            runs.c.problem,
            runs.c.specification,
            runs.c.evaluator,
            runs.c.settings,
            runs.c.sandbox,
            runs.c.created,
        )
        with self.connections.read() as connection:
            return record(RunRecord, *connection.execute(query.where(runs.c.id == run)).one())

    def runs(self) -> list[RunSummary]:
        """Returns all runs, oldest first."""
        best = select(func.max(evaluations.c.score)).where(evaluations.c.run == runs.c.id, scored).scalar_subquery()
        query = select(runs.c.id, runs.c.name, runs.c.problem, totals.c.samples, best, runs.c.state, runs.c.stopped)
        with self.connections.read() as connection:
            rows = connection.execute(query.join_from(runs, totals).order_by(runs.c.id)).all()
        return [
            RunSummary(
                run=name,
                problem=problem,
                samples=count,
                best_score=score,
                state=self.connections.state(run, state),
                stopped=stopped,
            )
            for run, name, problem, count, score, state, stopped in rows
        ]

    def lease(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which only this process may write to the run. See `RunWriter.lease`."""
        return self.connections.lease(self._run_id(name), name)

    def append(self, name: str, events: Sequence[Event]) -> None:
        """Writes the events in one transaction. See `RunWriter.append`."""
        run = self._run_id(name)
        names = {event.model for event in events if isinstance(event, Sample)}
        try:
            with self.connections.write(run) as connection:
                unwritten = self._unwritten(connection, run, events)
                new = add_models(connection, names - self._model_ids.keys())
                add_events(connection, run, unwritten, self._model_ids | new)
                add_totals(connection, run, unwritten)
        except StorageUnavailable:
            if events:
                self._unconfirmed.setdefault(run, (events[0], len(events)))
            raise
        self._unconfirmed.pop(run, None)
        # Not earlier: the ids of a transaction that was rolled back may be given to other models.
        self._model_ids |= new

    def set_state(self, name: str, state: str, stopped: str = "") -> None:
        """Records the state of the run and why it stopped."""
        run = self._run_id(name)
        with self.connections.write(run) as connection:
            connection.execute(update(runs).where(runs.c.id == run).values(state=state, stopped=stopped))

    def prompts(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts ordered by index."""
        return self._stream_prompts(self._run_id(name))

    def unanswered(self, name: str) -> Iterator[Prompt]:
        """Yields the prompts without samples, ordered by index."""
        answered = exists().where(samples.c.run == prompts.c.run, samples.c.prompt == prompts.c.prompt)
        return self._stream_prompts(self._run_id(name), ~answered)

    def samples(self, name: str) -> Iterator[Sample]:
        """Yields the samples ordered by (prompt index, sample index)."""
        return self._stream_samples(self._run_id(name))

    def unevaluated(self, name: str) -> Iterator[Sample]:
        """Yields the samples without an evaluation, ordered by (prompt index, sample index)."""
        return self._stream_samples(self._run_id(name), ~exists().where(of_sample))

    def evaluations(self, name: str) -> Iterator[Evaluation]:
        """Yields the evaluations in the order in which they were appended."""
        run = self._run_id(name)

        def page(connection: Connection, last: tuple[int, Evaluation] | None) -> list[tuple[int, Evaluation]]:
            start = last[0] + 1 if last else 0
            within = evaluations.c.program.between(start, start + PAGE - 1)
            return list(read_evaluations(connection, run, within).items())

        return (evaluation for _, evaluation in self.connections.stream(page))

    def registered(self, name: str) -> Iterator[Evaluation]:
        """Yields the evaluations with what is needed to register them again. See `RunReader.registered`."""
        run = self._run_id(name)

        def page(connection: Connection, last: tuple[int, Evaluation] | None) -> list[tuple[int, Evaluation]]:
            start = last[0] + 1 if last else 0
            return read_registered(connection, run, evaluations.c.program.between(start, start + 4 * PAGE - 1))

        return (evaluation for _, evaluation in self.connections.stream(page))

    def resets(self, name: str) -> Iterator[Reset]:
        """Yields the resets in order."""
        run = self._run_id(name)
        with self.connections.read() as connection:
            return iter(read_resets(connection, run))

    def snapshots(self, name: str) -> list[Snapshot]:
        """Returns the snapshots in order."""
        run = self._run_id(name)
        with self.connections.read() as connection:
            return read_snapshots(connection, run)

    def program(self, name: str, id: int) -> Evaluation:
        """Returns the evaluation of the program `id`. See `RunReader.program`."""
        run = self._run_id(name)
        with self.connections.read() as connection:
            evaluation = read_evaluations(connection, run, evaluations.c.program == id).get(id)
        if evaluation is None:
            raise StorageError(f"run {name} has no program {id}: `funsearch best {name}` lists the best programs.")
        return evaluation

    def best(self, name: str, top: int) -> list[tuple[int, Evaluation]]:
        """Returns up to `top` scored programs with their ids. See `RunReader.best`."""
        run = self._run_id(name)
        with self.connections.read() as connection:
            ids = _ranking(connection, run, max(top, 0))
            ranked = read_evaluations(connection, run, evaluations.c.program.in_(ids))
        return [(id, ranked[id]) for id in ids]

    def points(self, name: str) -> Iterator[Point]:
        """Yields the evaluations without their texts, in the order in which they were appended."""
        run = self._run_id(name)

        def page(connection: Connection, last: Point | None) -> list[Point]:
            start = last.program + 1 if last else 0
            return read_points(connection, run, evaluations.c.program.between(start, start + 20 * PAGE - 1))

        return self.connections.stream(page)

    def heldout(self, name: str, ids: Sequence[int]) -> dict[int, HeldOut]:
        """Returns the results of programs on the held-out inputs. See `RunReader.heldout`."""
        run = self._run_id(name)
        with self.connections.read() as connection:
            return read_heldout(connection, run, ids)

    def add_heldout(self, name: str, results: Mapping[int, HeldOut]) -> None:
        """Writes the results of programs on the held-out inputs. See `RunWriter.add_heldout`."""
        run = self._run_id(name)
        with self.connections.write() as connection:
            add_heldout(connection, run, results)

    def counts(self, name: str) -> Tally:
        """Returns the counts of the run, over its whole life."""
        run = self._run_id(name)
        with self.connections.read() as connection:
            return read_totals(connection, run)

    def usage(self, name: str) -> dict[str, Usage]:
        """Returns the number of samples and tokens of each model, by the model's name."""
        run = self._run_id(name)
        with self.connections.read() as connection:
            return read_usage(connection, run)

    def _unwritten(self, connection: Connection, run: int, events: Sequence[Event]) -> Sequence[Event]:
        """Returns the events without those that had been written after all when the connection broke."""
        first, count = self._unconfirmed.get(run, (None, 0))
        if first is None or not events or events[0] is not first or not has_event(connection, run, first):
            return events
        return events[count:]

    def _run_id(self, name: str) -> int:
        if name not in self._run_ids:
            with self.connections.read() as connection:
                rows = connection.execute(select(runs.c.name, runs.c.id))
                self._run_ids |= {row.name: row.id for row in rows}
        if name not in self._run_ids:
            raise unknown_name("run", name, self._run_ids, self.connections.label, "funsearch list")
        return self._run_ids[name]

    def _stream_prompts(self, run: int, *where: Condition) -> Iterator[Prompt]:
        def page(connection: Connection, last: Prompt | None) -> list[Prompt]:
            after = [prompts.c.prompt > last.index] if last else []
            return read_prompts(connection, run, *where, *after, limit=PAGE)

        return self.connections.stream(page)

    def _stream_samples(self, run: int, *where: Condition) -> Iterator[Sample]:
        def page(connection: Connection, last: Sample | None) -> list[Sample]:
            place = tuple_(samples.c.prompt, samples.c.sample)
            after = [place > tuple_(last.prompt.index, last.index)] if last else []
            return read_samples(connection, run, *where, *after, limit=PAGE)

        return self.connections.stream(page)


def _ranking(connection: Connection, run: int, top: int) -> list[int]:
    """Returns the ids of up to `top` scored programs distinct by key, best first, the oldest first on ties."""
    query = select(evaluations.c.program, evaluations.c.key).where(evaluations.c.run == run, scored)
    query = query.order_by(evaluations.c.score.desc(), evaluations.c.program)
    limit = top
    while True:
        rows = connection.execute(query.limit(limit)).all()
        first: dict[str, int] = {}
        for id, key in rows:
            first.setdefault(key, id)
        if len(first) >= top or len(rows) < limit:
            return list(first.values())[:top]
        limit *= 2  # rarely: equal programs are marked as duplicates and not ranked
