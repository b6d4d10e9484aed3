"""Trainings in the database: implements `funsearch.rest_em.ports.TrainingStorage`, whose docstrings hold the promises.

Knows nothing about how records become rows (see `funsearch.storage.training_rows`), nor about what a round does.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, func, insert, select, update

from funsearch.core.completions import Policy
from funsearch.errors import StorageError
from funsearch.rest_em.ports import RoundEvent
from funsearch.rest_em.records import (
    Answer,
    Graded,
    Phase,
    RoundRecord,
    Selected,
    Task,
    TrainingRecord,
    TrainingSummary,
)
from funsearch.storage.connections import PAGE, Connections, unknown_name
from funsearch.storage.rows import add_models
from funsearch.storage.training_rows import (
    add_round_events,
    add_tasks,
    read_answers,
    read_policies,
    read_rounds,
    read_selected,
    read_tasks,
)
from funsearch.storage.training_tables import answers, policies, rounds, trainings

FIRST_LEASE = 1 << 30
"""Number that is added to the id of a training to get the number of its lease; the lease of a run has the run's id."""


class SqlTrainings:
    """The part of `SqlStorage` that keeps trainings."""

    def __init__(self, connections: Connections) -> None:
        self.connections = connections

    def create_training(self, training: TrainingRecord, tasks: Sequence[Task]) -> None:
        """Writes a new training with its tasks. See `TrainingWriter.create_training`."""
        with self.connections.write() as connection:
            if connection.scalar(select(trainings.c.id).where(trainings.c.name == training.name)) is not None:
                raise StorageError(f"there is already a training called {training.name}: choose another --name.")
            values = {
                "name": training.name,
                "tasks": training.tasks,
                "model": training.model,
                "settings": dict(training.settings),
                "created": training.created,
                "state": "starting",
            }
            id = connection.execute(insert(trainings).values(values).returning(trainings.c.id)).scalar_one()
            add_tasks(connection, id, tasks)

    def training(self, name: str) -> TrainingRecord:
        """Returns the training. See `TrainingReader.training`."""
        table = trainings.c
        query = select(table.name, table.tasks, table.model, table.settings, table.created)
        training = self._training_id(name)
        with self.connections.read() as connection:
            return TrainingRecord(*connection.execute(query.where(table.id == training)).one())

    def trainings(self) -> list[TrainingSummary]:
        """Returns all trainings, oldest first."""
        table = trainings.c
        completed = select(func.count()).where(rounds.c.training == table.id, rounds.c.round > 0).scalar_subquery()
        query = select(table.id, table.name, table.tasks, table.model, completed, table.state, table.stopped)
        with self.connections.read() as connection:
            rows = connection.execute(query.order_by(table.id)).all()
        return [
            TrainingSummary(
                name=name,
                tasks=tasks,
                model=model,
                rounds=count,
                state=self.connections.state(FIRST_LEASE + training, state),
                stopped=stopped,
            )
            for training, name, tasks, model, count, state, stopped in rows
        ]

    def lease_training(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which only this process may write to the training."""
        return self.connections.lease(FIRST_LEASE + self._training_id(name), name)

    def set_training_state(self, name: str, state: str, stopped: str = "") -> None:
        """Records the state of the training and why it stopped."""
        training = self._training_id(name)
        with self.connections.write() as connection:
            query = update(trainings).where(trainings.c.id == training)
            connection.execute(query.values(state=state, stopped=stopped))

    def append_round(self, name: str, events: Sequence[RoundEvent]) -> None:
        """Writes the events in one transaction. See `TrainingWriter.append_round`."""
        training = self._training_id(name)
        names = {event.policy for event in events if isinstance(event, Answer)}
        with self.connections.write() as connection:
            add_round_events(connection, training, events, add_models(connection, names))

    def tasks(self, name: str) -> list[Task]:
        """Returns the tasks ordered by index."""
        training = self._training_id(name)
        with self.connections.read() as connection:
            return read_tasks(connection, training)

    def answered(self, name: str, round: int, phase: Phase) -> dict[int, int]:
        """Returns the number of answers of each task that has any, by the task's index."""
        table = answers.c
        training = self._training_id(name)
        where = (table.training == training, table.round == round, table.phase == phase.value)
        query = select(table.task, func.count()).where(*where).group_by(table.task)
        with self.connections.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def ungraded(self, name: str, round: int, phase: Phase) -> Iterator[Answer]:
        """Yields the answers without a grade, ordered by (task, index)."""
        return (graded.answer for graded in self._answers(name, round, phase, graded=False))

    def graded(self, name: str, round: int, phase: Phase) -> Iterator[Graded]:
        """Yields the answers with a grade, ordered by (task, index)."""
        return self._answers(name, round, phase, graded=True)

    def selected(self, name: str, round: int) -> list[Selected]:
        """Returns the answers that the round trains on, ordered by (task, answer)."""
        training = self._training_id(name)
        with self.connections.read() as connection:
            return read_selected(connection, training, round)

    def policies(self, name: str | None = None) -> list[Policy]:
        """Returns the policies of one training or, without a name, of all, ordered by training and round."""
        where = () if name is None else (policies.c.training == self._training_id(name),)
        with self.connections.read() as connection:
            return read_policies(connection, *where)

    def rounds(self, name: str) -> list[RoundRecord]:
        """Returns the records of the completed rounds, in order."""
        training = self._training_id(name)
        with self.connections.read() as connection:
            return read_rounds(connection, training)

    def _answers(self, name: str, round: int, phase: Phase, *, graded: bool) -> Iterator[Graded]:
        training = self._training_id(name)

        def page(connection: Connection, last: Graded | None) -> list[Graded]:
            return read_answers(connection, training, round, phase, last.answer if last else None, PAGE, graded=graded)

        return self.connections.stream(page)

    def _training_id(self, name: str) -> int:
        with self.connections.read() as connection:
            ids = {row.name: row.id for row in connection.execute(select(trainings.c.name, trainings.c.id))}
        if name not in ids:
            raise unknown_name("training", name, ids, self.connections.label, "funsearch models")
        return int(ids[name])
