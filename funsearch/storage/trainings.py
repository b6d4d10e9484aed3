"""The storage of trainings, in the same database as runs. Knows nothing about what a round does."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import func, insert, select, update

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
from funsearch.storage.opening import open_storage
from funsearch.storage.rows import add_models
from funsearch.storage.sql import PAGE, SqlStorage
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
"""Leases are told apart by numbers; those of trainings begin here, those of runs at 1."""


class SqlTrainingStorage(SqlStorage):
    """Keeps trainings, and runs as well; see `funsearch.rest_em.ports.TrainingStorage` for its promises."""

    def create_training(self, training: TrainingRecord, tasks: Sequence[Task]) -> None:
        """Writes a new training with its tasks. See `TrainingStorage.create_training`."""
        with self._write() as connection:
            if connection.scalar(select(trainings.c.id).where(trainings.c.name == training.name)) is not None:
                raise StorageError(f"there is a training called {training.name} already: take another --name.")
            values = {
                "name": training.name,
                "tasks": training.tasks,
                "model": training.model,
                "settings": dict(training.settings),
                "created": training.created,
                "state": "running",
            }
            done = connection.execute(insert(trainings).values(values).returning(trainings.c.id))
            add_tasks(connection, done.scalar_one(), tasks)

    def training(self, name: str) -> TrainingRecord:
        """Returns the training. See `TrainingStorage.training`."""
        table = trainings.c
        query = select(table.name, table.tasks, table.model, table.settings, table.created)
        training = self._training_id(name)
        with self._read() as connection:
            return TrainingRecord(*connection.execute(query.where(table.id == training)).one())

    def trainings(self) -> list[TrainingSummary]:
        """Returns all trainings, oldest first. One that is `running` though nobody holds its lease was interrupted."""
        table = trainings.c
        ended = select(func.count()).where(rounds.c.training == table.id, rounds.c.round > 0).scalar_subquery()
        query = select(table.id, table.name, table.tasks, table.model, ended, table.state).order_by(table.id)
        with self._read() as connection:
            rows = connection.execute(query).all()
        return [TrainingSummary(*row[1:-1], state=self.state(FIRST_LEASE + row.id, row.state)) for row in rows]

    def lease_training(self, name: str) -> AbstractContextManager[None]:
        """Returns a context in which this process alone may write to the training."""
        return self._lease(FIRST_LEASE + self._training_id(name), name)

    def set_training_state(self, name: str, state: str) -> None:
        """Records how the training stands."""
        training = self._training_id(name)
        with self._write() as connection:
            connection.execute(update(trainings).where(trainings.c.id == training).values(state=state))

    def append_round(self, name: str, events: Sequence[RoundEvent]) -> None:
        """Writes the events in one transaction. See `TrainingStorage.append_round`."""
        training = self._training_id(name)
        names = {event.policy for event in events if isinstance(event, Answer)}
        with self._write() as connection:
            add_round_events(connection, training, events, add_models(connection, names))

    def tasks(self, name: str) -> list[Task]:
        """Returns the tasks in the order of their index."""
        training = self._training_id(name)
        with self._read() as connection:
            return read_tasks(connection, training)

    def answered(self, name: str, round: int, phase: Phase) -> dict[int, int]:
        """Returns how many answers each task has; tasks without any are missing."""
        table = answers.c
        training = self._training_id(name)
        here = (table.training == training, table.round == round, table.phase == phase.value)
        with self._read() as connection:
            rows = connection.execute(select(table.task, func.count()).where(*here).group_by(table.task)).all()
        return {row[0]: row[1] for row in rows}

    def ungraded(self, name: str, round: int, phase: Phase) -> Iterator[Answer]:
        """Yields the answers without a grade, in the order (task, index)."""
        return (one.answer for one in self._answers(name, round, phase, graded=False))

    def graded(self, name: str, round: int, phase: Phase) -> Iterator[Graded]:
        """Yields the answers with a grade, in the order (task, index)."""
        return self._answers(name, round, phase, graded=True)

    def selected(self, name: str, round: int) -> list[Selected]:
        """Returns what the round trains on, in the order (task, answer)."""
        training = self._training_id(name)
        with self._read() as connection:
            return read_selected(connection, training, round)

    def policies(self, name: str | None = None) -> list[Policy]:
        """Returns the policies of a training, or of all, in the order of trainings and rounds."""
        where = () if name is None else (policies.c.training == self._training_id(name),)
        with self._read() as connection:
            return read_policies(connection, *where)

    def rounds(self, name: str) -> list[RoundRecord]:
        """Returns the rounds that have ended, in order."""
        training = self._training_id(name)
        with self._read() as connection:
            return read_rounds(connection, training)

    def _answers(self, name: str, round: int, phase: Phase, *, graded: bool) -> Iterator[Graded]:
        training = self._training_id(name)
        last: Answer | None = None
        while True:
            with self._read() as connection:
                page = read_answers(connection, training, round, phase, last, PAGE, graded=graded)
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1].answer

    def _training_id(self, name: str) -> int:
        with self._read() as connection:
            known: dict[str, int] = {
                row.name: row.id for row in connection.execute(select(trainings.c.name, trainings.c.id))
            }
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`funsearch models` shows what there is."
            raise StorageError(f"there is no training called {name} in {self.label}: {hint}")
        return known[name]


def open_training_storage(url: str, create: bool = True) -> SqlTrainingStorage:
    """Opens the database at `url` for trainings and runs. See `funsearch.storage.open_storage`."""
    storage = open_storage(url, create)
    return SqlTrainingStorage(storage.engine, storage.leases, storage.label)
