"""Turns the records of runs into rows and back, within a transaction that the caller opened.

Knows nothing about the names of runs.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, bindparam, func, insert, select, text, type_coerce

from funsearch.core.ports import Event
from funsearch.core.records import (
    Evaluation,
    Feedback,
    Function,
    HeldOut,
    IslandView,
    Point,
    Prompt,
    Reset,
    Sample,
    Snapshot,
    Status,
    Usage,
)
from funsearch.storage.columns import ExactText, unescape
from funsearch.storage.records import record
from funsearch.storage.tables import (
    evaluations,
    heldout,
    models,
    prompts,
    resets,
    samples,
    snapshots,
)

Condition = ColumnElement[bool]
Values = dict[str, object]

_PROMPT = (
    prompts.c.prompt,
    prompts.c.island,
    prompts.c.resets,
    prompts.c.text,
    prompts.c.version,
    prompts.c.parents,
    prompts.c.after_evaluations,
)
_SAMPLE = (
    samples.c.prompt,
    samples.c.sample,
    samples.c.text,
    models.c.name,
    samples.c.finish_reason,
    samples.c.prompt_tokens,
    samples.c.tokens,
)
_EVALUATION = (
    evaluations.c.program,
    evaluations.c.status,
    evaluations.c.body,
    evaluations.c.preamble,
    evaluations.c.key,
    evaluations.c.scores,
    evaluations.c.error,
    evaluations.c.output,
    evaluations.c.seconds,
    evaluations.c.sandbox,
    evaluations.c.duplicate_of,
    evaluations.c.score,
    evaluations.c.stage,
    evaluations.c.feedback,
)
_SNAPSHOT = tuple(snapshots.c[field.name] for field in fields(Snapshot))
_REGISTERED = (
    evaluations.c.program,
    evaluations.c.prompt,
    evaluations.c.sample,
    evaluations.c.status,
    evaluations.c.body,
    evaluations.c.preamble,
    evaluations.c.key,
    evaluations.c.scores,
    evaluations.c.duplicate_of,
    evaluations.c.score,
    evaluations.c.feedback,
)
_ENCODED = {evaluations.c.body, evaluations.c.preamble, evaluations.c.key, evaluations.c.scores, evaluations.c.feedback}
_STATUS = {status.value: status for status in Status}
_RESET = (resets.c.reset, resets.c.after_evaluations, resets.c.islands, resets.c.founders)
# Another run's writer may just have added the same model.
_ADD_MODEL = text("INSERT INTO models (name) VALUES (:name) ON CONFLICT DO NOTHING").bindparams(
    bindparam("name", type_=ExactText)
)

of_sample = and_(
    evaluations.c.run == samples.c.run,
    evaluations.c.prompt == samples.c.prompt,
    evaluations.c.sample == samples.c.sample,
)
"""The condition that joins a sample and its evaluation."""


def add_models(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Returns the ids of the models by name, adding the models that are new."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    connection.execute(_ADD_MODEL, [{"name": name} for name in wanted])
    rows = connection.execute(select(models.c.name, models.c.id).where(models.c.name.in_(wanted)))
    return {row.name: row.id for row in rows}


def add_events(connection: Connection, run: int, events: Sequence[Event], model_ids: Mapping[str, int]) -> None:
    """Adds the events in any order; rows that others refer to are added first."""
    rows: dict[type[Event], list[Values]] = {Prompt: [], Sample: [], Evaluation: [], Reset: [], Snapshot: []}
    program = connection.scalar(select(func.max(evaluations.c.program)).where(evaluations.c.run == run))
    program = -1 if program is None else program
    for event in events:
        match event:
            case Prompt():
                row = _prompt_values(event)
            case Sample():
                row = _sample_values(event, model_ids[event.model])
            case Evaluation():
                program += 1
                row = _evaluation_values(event, program)
            case Reset():
                row = _reset_values(event)
            case Snapshot():
                row = asdict(event)
        row["run"] = run
        rows[type(event)].append(row)
    tables = (prompts, samples, evaluations, resets, snapshots)
    for table, new_rows in zip(tables, rows.values(), strict=True):
        if new_rows:
            connection.execute(insert(table), new_rows)


def has_event(connection: Connection, run: int, event: Event) -> bool:
    """Returns whether the event has been written."""
    match event:
        case Prompt():
            table, where = prompts, prompts.c.prompt == event.index
        case Sample():
            table, where = samples, and_(samples.c.prompt == event.prompt.index, samples.c.sample == event.index)
        case Evaluation():
            place = event.sample
            table = evaluations
            where = and_(evaluations.c.prompt == place.prompt.index, evaluations.c.sample == place.index)
        case Reset():
            table, where = resets, resets.c.reset == event.index
        case Snapshot():
            table, where = snapshots, snapshots.c.evaluations == event.evaluations
    return connection.execute(select(table.c.run).where(table.c.run == run, where)).first() is not None


def read_prompts(connection: Connection, run: int, *where: Condition, limit: int | None = None) -> list[Prompt]:
    """Returns the prompts that meet the conditions, ordered by index."""
    query = select(*_PROMPT).where(prompts.c.run == run, *where).order_by(prompts.c.prompt).limit(limit)
    return [
        Prompt(
            index=index, island=island, resets=resets, text=text, version=version, parents=tuple(parents), after=after
        )
        for index, island, resets, text, version, parents, after in connection.execute(query)
    ]


def read_samples(connection: Connection, run: int, *where: Condition, limit: int | None = None) -> list[Sample]:
    """Returns the samples that meet the conditions, ordered by (prompt index, sample index)."""
    query = select(*_SAMPLE).join_from(samples, models).where(samples.c.run == run, *where)
    rows = connection.execute(query.order_by(samples.c.prompt, samples.c.sample).limit(limit)).all()
    prompt_of = _prompts_by_index(connection, run, {row[0] for row in rows})
    return [record(Sample, prompt_of[row[0]], *row[1:]) for row in rows]


def read_evaluations(connection: Connection, run: int, *where: Condition) -> dict[int, Evaluation]:
    """Returns the evaluations that meet the conditions, by program id and in that order."""
    joined = evaluations.join(samples, of_sample).join(models)
    query = select(*_EVALUATION, *_SAMPLE).select_from(joined).where(evaluations.c.run == run, *where)
    rows = connection.execute(query.order_by(evaluations.c.program)).all()
    width = len(_EVALUATION)
    prompt_of = _prompts_by_index(connection, run, {row[width] for row in rows})
    return {row[0]: _evaluation(row[1:width], record(Sample, prompt_of[row[width]], *row[width + 1 :])) for row in rows}


def read_registered(connection: Connection, run: int, *where: Condition) -> list[tuple[int, Evaluation]]:
    """Returns program ids and evaluations that meet the conditions, ordered by id. See `RunReader.registered`.

    The columns are read as plain text: with their own types, restoring a million evaluations takes twice as long.
    """
    query = select(*(type_coerce(column, Text()) if column in _ENCODED else column for column in _REGISTERED))
    rows = connection.execute(query.where(evaluations.c.run == run, *where).order_by(evaluations.c.program)).all()
    prompt_of = _short_prompts(connection, run, {row[1] for row in rows})
    return [
        (
            program,
            Evaluation(
                sample=Sample(prompt=prompt_of[prompt], index=sample, text="", model="", finish_reason=""),
                status=_STATUS[status],
                function=None if body is None else Function(unescape(body), unescape(preamble)),
                key=unescape(key),
                scores={} if scores == "{}" else json.loads(unescape(scores)),
                duplicate_of=duplicate_of,
                score=score,
                feedback=_feedback(feedback and json.loads(unescape(feedback))),
            ),
        )
        for program, prompt, sample, status, body, preamble, key, scores, duplicate_of, score, feedback in rows
    ]


def read_resets(connection: Connection, run: int) -> list[Reset]:
    """Returns the resets in order."""
    query = select(*_RESET).where(resets.c.run == run).order_by(resets.c.reset)
    return [
        Reset(index, after, tuple(islands), tuple(founders))
        for index, after, islands, founders in connection.execute(query)
    ]


def read_snapshots(connection: Connection, run: int) -> list[Snapshot]:
    """Returns the snapshots in order."""
    query = select(*_SNAPSHOT).where(snapshots.c.run == run).order_by(snapshots.c.evaluations)
    return [_snapshot(row._asdict()) for row in connection.execute(query)]


def read_points(connection: Connection, run: int, *where: Condition) -> list[Point]:
    """Returns the evaluations that meet the conditions, without their texts, ordered by program id."""
    of_prompt = and_(prompts.c.run == evaluations.c.run, prompts.c.prompt == evaluations.c.prompt)
    query = select(
        evaluations.c.program,
        prompts.c.island,
        evaluations.c.status,
        evaluations.c.score,
        evaluations.c.duplicate_of.is_not(None),
    ).join_from(evaluations, prompts, of_prompt)
    rows = connection.execute(query.where(evaluations.c.run == run, *where).order_by(evaluations.c.program))
    return [Point(id, island, Status(status), score, bool(duplicate)) for id, island, status, score, duplicate in rows]


def read_heldout(connection: Connection, run: int, ids: Sequence[int]) -> dict[int, HeldOut]:
    """Returns the results of programs on the held-out inputs by id, for those of `ids` that have been scored."""
    query = select(heldout.c.program, heldout.c.status, heldout.c.scores, heldout.c.error)
    rows = connection.execute(query.where(heldout.c.run == run, heldout.c.program.in_(ids)))
    return {row.program: HeldOut(Status(row.status), row.scores, row.error) for row in rows}


def add_heldout(connection: Connection, run: int, results: Mapping[int, HeldOut]) -> None:
    """Adds the results of the programs that have none yet."""
    existing = read_heldout(connection, run, list(results))
    rows = [
        {
            "run": run,
            "program": id,
            "status": result.status.value,
            "scores": dict(result.scores),
            "error": result.error,
        }
        for id, result in results.items()
        if id not in existing
    ]
    if rows:
        connection.execute(insert(heldout), rows)


def _prompts_by_index(connection: Connection, run: int, indices: set[int]) -> dict[int, Prompt]:
    return {prompt.index: prompt for prompt in read_prompts(connection, run, prompts.c.prompt.in_(indices))}


def _short_prompts(connection: Connection, run: int, indices: set[int]) -> dict[int, Prompt]:
    """Returns prompts by index, without their texts."""
    query = select(prompts.c.prompt, prompts.c.island, prompts.c.resets, prompts.c.version, prompts.c.parents)
    rows = connection.execute(query.where(prompts.c.run == run, prompts.c.prompt.in_(indices)))
    return {
        index: Prompt(
            index=index, island=island, resets=resets, text="", version=version, parents=tuple(parents), after=0
        )
        for index, island, resets, version, parents in rows
    }


def _evaluation(row: Sequence[Any], sample: Sample) -> Evaluation:
    status, body, preamble, *rest = row
    function = None if body is None else Function(body, preamble)
    rest[-1] = _feedback(rest[-1])
    return record(Evaluation, sample, Status(status), function, *rest)


def _snapshot(values: Mapping[str, Any]) -> Snapshot:
    usage = {model: Usage(**counts) for model, counts in values["usage"].items()}
    islands = tuple(IslandView(**island) for island in values["islands"])
    return Snapshot(**{**values, "usage": usage, "islands": islands})


def _feedback(stored: Mapping[str, Any] | None) -> dict[str, Feedback]:
    return {name: Feedback(**fields) for name, fields in stored.items()} if stored else {}


def _prompt_values(prompt: Prompt) -> Values:
    return {
        "prompt": prompt.index,
        "island": prompt.island,
        "resets": prompt.resets,
        "text": prompt.text,
        "version": prompt.version,
        "parents": prompt.parents,
        "after_evaluations": prompt.after,
    }


def _sample_values(sample: Sample, model: int) -> Values:
    return {
        "prompt": sample.prompt.index,
        "sample": sample.index,
        "text": sample.text,
        "model": model,
        "finish_reason": sample.finish_reason,
        "prompt_tokens": sample.prompt_tokens,
        "tokens": sample.tokens,
    }


def _evaluation_values(evaluation: Evaluation, program: int) -> Values:
    function = evaluation.function
    return {
        "program": program,
        "prompt": evaluation.sample.prompt.index,
        "sample": evaluation.sample.index,
        "status": evaluation.status.value,
        "body": None if function is None else function.body,
        "preamble": None if function is None else function.preamble,
        "key": evaluation.key,
        "scores": dict(evaluation.scores),
        "error": evaluation.error,
        "output": evaluation.output,
        "seconds": evaluation.seconds,
        "sandbox": evaluation.sandbox,
        "duplicate_of": evaluation.duplicate_of,
        "score": evaluation.score,
        "stage": evaluation.stage,
        "feedback": {name: asdict(feedback) for name, feedback in evaluation.feedback.items()} or None,
    }


def _reset_values(reset: Reset) -> Values:
    return {
        "reset": reset.index,
        "after_evaluations": reset.after,
        "islands": reset.islands,
        "founders": reset.founders,
    }
