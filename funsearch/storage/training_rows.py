"""Turns the records of trainings into rows and back, within a transaction that the caller opened.

Knows nothing about the names of trainings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Table, and_, insert, select, tuple_

from funsearch.core.completions import Policy
from funsearch.rest_em.ports import RoundEvent
from funsearch.rest_em.records import (
    Answer,
    Difference,
    Estimate,
    Figures,
    Grade,
    Graded,
    Phase,
    RoundRecord,
    Selected,
    Split,
    Task,
)
from funsearch.storage.records import record
from funsearch.storage.rows import Condition, Values
from funsearch.storage.tables import models
from funsearch.storage.training_tables import answers, grades, policies, rounds, selections, training_tasks

_ANSWER = (
    answers.c.round,
    answers.c.phase,
    answers.c.task,
    answers.c.answer,
    models.c.name,
    answers.c.text,
    answers.c.finish_reason,
    answers.c.ending,
    answers.c.prompt_tokens,
    answers.c.tokens,
)
_GRADE = (grades.c.reward, grades.c.value, grades.c["keys"], grades.c.error, grades.c.seconds)

of_answer = and_(*(grades.c[name] == answers.c[name] for name in ("training", "round", "phase", "task", "answer")))
"""The condition that joins an answer and its grade."""


def add_tasks(connection: Connection, training: int, tasks: Sequence[Task]) -> None:
    """Adds the tasks of a training."""
    if tasks:
        connection.execute(insert(training_tasks), [_task_values(task) | {"training": training} for task in tasks])


def add_round_events(
    connection: Connection, training: int, events: Sequence[RoundEvent], model_ids: Mapping[str, int]
) -> None:
    """Adds the events in any order; rows that others refer to are added first."""
    rows: dict[Table, list[Values]] = {table: [] for table in (policies, answers, grades, selections, rounds)}
    for event in events:
        match event:
            case Policy():
                rows[policies].append(asdict(event))
            case Answer():
                rows[answers].append(_answer_values(event, model_ids[event.policy]))
            case Graded():
                rows[grades].append(_grade_values(event))
            case Selected():
                rows[selections].append(asdict(event))
            case RoundRecord():
                rows[rounds].append(asdict(event))
    for table, new_rows in rows.items():
        if new_rows:
            connection.execute(insert(table), [values | {"training": training} for values in new_rows])


def read_tasks(connection: Connection, training: int) -> list[Task]:
    """Returns the tasks ordered by index."""
    table = training_tasks.c
    query = select(table.task, table.key, table.family, table.split, table.prompt, table.reference)
    rows = connection.execute(query.where(table.training == training).order_by(table.task))
    return [
        Task(index=index, key=key, family=family, split=Split(split), prompt=prompt, reference=reference)
        for index, key, family, split, prompt, reference in rows
    ]


def read_answers(
    connection: Connection, training: int, round: int, phase: Phase, last: Answer | None, limit: int, *, graded: bool
) -> list[Graded]:
    """Returns up to `limit` answers after `last`, ordered by (task, index): either those with or those without a grade.

    An answer without a grade comes with an empty one.
    """
    place = tuple_(answers.c.task, answers.c.answer)
    after: list[Condition] = [place > tuple_(last.task, last.index)] if last else []
    joined = answers.join(models).join(grades, of_answer, isouter=not graded)
    query = select(*_ANSWER, *_GRADE).select_from(joined)
    query = query.where(
        answers.c.training == training, answers.c.round == round, answers.c.phase == phase.value, *after
    )
    if not graded:
        query = query.where(grades.c.reward.is_(None))
    rows = connection.execute(query.order_by(answers.c.task, answers.c.answer).limit(limit))
    return [_graded(row) for row in rows]


def read_selected(connection: Connection, training: int, round: int) -> list[Selected]:
    """Returns the answers that the round trains on, ordered by (task, answer)."""
    table = selections.c
    query = select(table.round, table.task, table.answer, table.rejected)
    query = query.where(table.training == training, table.round == round).order_by(table.task, table.answer)
    return [Selected(*row) for row in connection.execute(query)]


def read_policies(connection: Connection, *where: Condition) -> list[Policy]:
    """Returns the policies that meet the conditions, ordered by training and round."""
    table = policies.c
    query = select(table.name, table.round, table.base, table.folder, table.kind, table.figures)
    return [
        record(Policy, *row) for row in connection.execute(query.where(*where).order_by(table.training, table.round))
    ]


def read_rounds(connection: Connection, training: int) -> list[RoundRecord]:
    """Returns the records of the completed rounds, in order."""
    table = rounds.c
    query = select(
        table.round,
        table.policy,
        table.samples,
        table.correct,
        table.selected,
        table.figures,
        table.published,
        table.stop,
        table.reason,
        table.gain,
    )
    rows = connection.execute(query.where(table.training == training).order_by(table.round))
    return [_round(row) for row in rows]


def _task_values(task: Task) -> Values:
    return {
        "task": task.index,
        "split": task.split.value,
        "family": task.family,
        "key": task.key,
        "prompt": task.prompt,
        "reference": task.reference,
    }


def _answer_values(answer: Answer, policy: int) -> Values:
    values = asdict(answer)
    return values | {"phase": answer.phase.value, "answer": values.pop("index"), "policy": policy}


def _grade_values(graded: Graded) -> Values:
    answer = graded.answer
    place = {"round": answer.round, "phase": answer.phase.value, "task": answer.task, "answer": answer.index}
    return place | asdict(graded.grade)


def _graded(row: Sequence[Any]) -> Graded:
    round, phase, task, index, policy, *rest = row[: len(_ANSWER)]
    reward, value, keys, error, seconds = row[len(_ANSWER) :]
    answer = record(Answer, round, Phase(phase), task, index, policy, *rest)
    return Graded(answer, Grade(reward or 0.0, value or "", tuple(keys or ()), error or "", seconds or 0.0))


def _round(row: Sequence[Any]) -> RoundRecord:
    round, policy, samples, correct, selected, figures, published, stop, reason, gain = row
    return RoundRecord(
        round=round,
        policy=policy,
        samples=samples,
        correct=correct,
        selected=selected,
        figures={split: _figures(values) for split, values in figures.items()},
        published=bool(published),
        stop=stop,
        reason=reason,
        gain=Difference(**gain) if gain else None,
    )


def _figures(values: Mapping[str, Any]) -> Figures:
    estimates = {name: Estimate(**value) for name, value in values.items() if name != "k"}
    return Figures(**estimates, k=values["k"])
