"""A storage that keeps trainings in memory, for tests and notebooks. Knows nothing about databases."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from funsearch.core.completions import Policy
from funsearch.errors import RunBusyError, StorageError
from funsearch.rest_em.ports import RoundEvent
from funsearch.rest_em.records import (
    Answer,
    Grade,
    Graded,
    Phase,
    RoundRecord,
    Selected,
    Task,
    TrainingRecord,
    TrainingSummary,
)

Place = tuple[int, Phase, int, int]
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Training:
    record: TrainingRecord
    tasks: list[Task]
    state: str = "running"
    held: bool = False
    answers: dict[Place, Answer] = field(default_factory=dict)
    grades: dict[Place, Grade] = field(default_factory=dict)
    selected: dict[tuple[int, int, int], Selected] = field(default_factory=dict)
    policies: dict[int, Policy] = field(default_factory=dict)
    rounds: dict[int, RoundRecord] = field(default_factory=dict)


class MemoryTrainingStorage:
    """Keeps the promises of `funsearch.rest_em.ports.TrainingStorage` as long as the object lives."""

    def __init__(self) -> None:
        self._trainings: dict[str, _Training] = {}

    def create_training(self, training: TrainingRecord, tasks: Sequence[Task]) -> None:
        if training.name in self._trainings:
            raise StorageError(f"there is a training called {training.name} already: take another --name.")
        self._trainings[training.name] = _Training(training, sorted(tasks, key=lambda task: task.index))

    def training(self, name: str) -> TrainingRecord:
        return self._training(name).record

    def trainings(self) -> list[TrainingSummary]:
        return [
            TrainingSummary(
                name,
                one.record.tasks,
                one.record.model,
                sum(round > 0 for round in one.rounds),
                "interrupted" if one.state == "running" and not one.held else one.state,
            )
            for name, one in self._trainings.items()
        ]

    def lease_training(self, name: str) -> AbstractContextManager[None]:
        return self._lease(self._training(name))

    def set_training_state(self, name: str, state: str) -> None:
        self._training(name).state = state

    def append_round(self, name: str, events: Sequence[RoundEvent]) -> None:
        old = self._training(name)
        new = _Training(old.record, old.tasks)
        for event in events:
            match event:
                case Answer():
                    _put(new.answers, old.answers, _place(event), event)
                case Graded():
                    _put(new.grades, old.grades, _place(event.answer), event.grade)
                case Selected():
                    _put(new.selected, old.selected, (event.round, event.task, event.answer), event)
                case Policy():
                    _put(new.policies, old.policies, event.round, event)
                case RoundRecord():
                    _put(new.rounds, old.rounds, event.round, event)
        _check(new.grades.keys() - old.answers.keys() - new.answers.keys())
        _check(new.rounds.keys() - old.policies.keys() - new.policies.keys())
        _check({task for _, _, task, _ in new.answers} - {task.index for task in old.tasks})
        old.answers |= new.answers
        old.grades |= new.grades
        old.selected |= new.selected
        old.policies |= new.policies
        old.rounds |= new.rounds

    def tasks(self, name: str) -> list[Task]:
        return list(self._training(name).tasks)

    def answered(self, name: str, round: int, phase: Phase) -> dict[int, int]:
        counts: dict[int, int] = {}
        for one_round, one_phase, task, _ in self._training(name).answers:
            if (one_round, one_phase) == (round, phase):
                counts[task] = counts.get(task, 0) + 1
        return counts

    def ungraded(self, name: str, round: int, phase: Phase) -> Iterator[Answer]:
        training = self._training(name)
        return (one for place, one in self._of(training, round, phase) if place not in training.grades)

    def graded(self, name: str, round: int, phase: Phase) -> Iterator[Graded]:
        training = self._training(name)
        grades = training.grades
        return (Graded(one, grades[place]) for place, one in self._of(training, round, phase) if place in grades)

    def selected(self, name: str, round: int) -> list[Selected]:
        return [one for key, one in sorted(self._training(name).selected.items()) if key[0] == round]

    def policies(self, name: str | None = None) -> list[Policy]:
        trainings = self._trainings.values() if name is None else [self._training(name)]
        return [one.policies[round] for one in trainings for round in sorted(one.policies)]

    def rounds(self, name: str) -> list[RoundRecord]:
        return [record for _, record in sorted(self._training(name).rounds.items())]

    def close(self) -> None:
        """Forgets nothing."""

    def _of(self, training: _Training, round: int, phase: Phase) -> list[tuple[Place, Answer]]:
        here = [(place, one) for place, one in training.answers.items() if place[:2] == (round, phase)]
        return sorted(here, key=lambda item: item[0][2:])

    def _training(self, name: str) -> _Training:
        if name not in self._trainings:
            near = difflib.get_close_matches(name, self._trainings, n=1)
            raise StorageError(f"there is no training called {name}: {f'did you mean {near[0]}?' if near else ''}")
        return self._trainings[name]

    @contextmanager
    def _lease(self, training: _Training) -> Iterator[None]:
        if training.held:
            raise RunBusyError(f"run {training.record.name} is being written by this process: wait for it, or stop it.")
        training.held = True
        try:
            yield
        finally:
            training.held = False


def _place(answer: Answer) -> Place:
    return answer.round, answer.phase, answer.task, answer.index


def _put(new: dict[Key, Value], old: dict[Key, Value], key: Key, value: Value) -> None:
    if key in old or key in new:
        raise StorageError(f"nothing was written: {key} is there already.")
    new[key] = value


def _check(missing: object) -> None:
    if missing:
        raise StorageError(f"nothing was written: an event refers to {missing}, which is not there.")
