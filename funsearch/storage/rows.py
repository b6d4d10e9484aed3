"""Records to rows and rows to records, within a transaction that somebody else opened.

Knows nothing about runs' names, nor about opening and closing anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, select, text

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
from funsearch.storage.columns import ExactText
from funsearch.storage.tables import evaluations, heldout, models, prompts, resets, samples, snapshots

Condition = ColumnElement[bool]
Values = dict[str, Any]

_PROMPT = (
    prompts.c.prompt,
    prompts.c.island,
    prompts.c.generation,
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
_RESET = (resets.c.reset, resets.c.after_evaluations, resets.c.islands, resets.c.founders)
# One that another run's writer has just added is not an error.
_ADD_MODEL = text("INSERT INTO models (name) VALUES (:name) ON CONFLICT DO NOTHING").bindparams(
    bindparam("name", type_=ExactText)
)

of_sample = and_(
    evaluations.c.run == samples.c.run,
    evaluations.c.prompt == samples.c.prompt,
    evaluations.c.sample == samples.c.sample,
)
"""Joins a sample and its evaluation."""


def add_models(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Returns the ids of the models, adding those that are new."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    connection.execute(_ADD_MODEL, [{"name": name} for name in wanted])
    known = connection.execute(select(models.c.name, models.c.id).where(models.c.name.in_(wanted)))
    return {row.name: row.id for row in known}


def add_events(connection: Connection, run: int, events: Sequence[Event], model_ids: Mapping[str, int]) -> None:
    """Adds the events; what is referred to goes first, whatever their order."""
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
    for table, new in zip(tables, rows.values(), strict=True):
        if new:
            connection.execute(insert(table), new)


def read_prompts(connection: Connection, run: int, *where: Condition, limit: int | None = None) -> list[Prompt]:
    """Returns the prompts that meet the conditions, in the order of their index."""
    query = select(*_PROMPT).where(prompts.c.run == run, *where).order_by(prompts.c.prompt).limit(limit)
    return [
        Prompt(index, island, generation, text, version, tuple(parents), after)
        for index, island, generation, text, version, parents, after in connection.execute(query)
    ]


def read_samples(connection: Connection, run: int, *where: Condition, limit: int | None = None) -> list[Sample]:
    """Returns the samples that meet the conditions, in the order (prompt index, sample index)."""
    query = select(*_SAMPLE).join_from(samples, models).where(samples.c.run == run, *where)
    rows = connection.execute(query.order_by(samples.c.prompt, samples.c.sample).limit(limit)).all()
    prompt_of = _prompts_by_index(connection, run, {row[0] for row in rows})
    return [Sample(prompt_of[row[0]], *row[1:]) for row in rows]


def read_evaluations(connection: Connection, run: int, *where: Condition) -> dict[int, Evaluation]:
    """Returns the evaluations that meet the conditions by program id, in its order."""
    joined = evaluations.join(samples, of_sample).join(models)
    query = select(*_EVALUATION, *_SAMPLE).select_from(joined).where(evaluations.c.run == run, *where)
    rows = connection.execute(query.order_by(evaluations.c.program)).all()
    width = len(_EVALUATION)
    prompt_of = _prompts_by_index(connection, run, {row[width] for row in rows})
    return {row[0]: _evaluation(row[1:width], Sample(prompt_of[row[width]], *row[width + 1 :])) for row in rows}


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
    """Returns the evaluations that meet the conditions without their texts, in the order of their ids."""
    of_prompt = and_(prompts.c.run == evaluations.c.run, prompts.c.prompt == evaluations.c.prompt)
    query = select(
        evaluations.c.program,
        prompts.c.island,
        evaluations.c.status,
        evaluations.c.score,
        evaluations.c.duplicate_of.is_not(None),
    ).join_from(evaluations, prompts, of_prompt)
    rows = connection.execute(query.where(evaluations.c.run == run, *where).order_by(evaluations.c.program))
    return [Point(id, island, Status(status), score, bool(twice)) for id, island, status, score, twice in rows]


def read_heldout(connection: Connection, run: int, ids: Sequence[int]) -> dict[int, HeldOut]:
    """Returns what is known of the programs on the held-out inputs."""
    query = select(heldout.c.program, heldout.c.status, heldout.c.scores, heldout.c.error)
    rows = connection.execute(query.where(heldout.c.run == run, heldout.c.program.in_(ids)))
    return {row.program: HeldOut(Status(row.status), row.scores, row.error) for row in rows}


def add_heldout(connection: Connection, run: int, found: Mapping[int, HeldOut]) -> None:
    """Adds what is not known yet."""
    known = read_heldout(connection, run, list(found))
    rows = [
        {"run": run, "program": id, "status": one.status.value, "scores": dict(one.scores), "error": one.error}
        for id, one in found.items()
        if id not in known
    ]
    if rows:
        connection.execute(insert(heldout), rows)


def _prompts_by_index(connection: Connection, run: int, indices: set[int]) -> dict[int, Prompt]:
    return {prompt.index: prompt for prompt in read_prompts(connection, run, prompts.c.prompt.in_(indices))}


def _evaluation(row: Sequence[Any], sample: Sample) -> Evaluation:
    status, body, preamble, *rest = row
    function = None if body is None else Function(body, preamble)
    rest[-1] = {name: Feedback(**said) for name, said in (rest[-1] or {}).items()}
    return Evaluation(sample, Status(status), function, *rest)


def _snapshot(values: Values) -> Snapshot:
    usage = {model: Usage(**used) for model, used in values["usage"].items()}
    islands = tuple(IslandView(**island) for island in values["islands"])
    return Snapshot(**values | {"usage": usage, "islands": islands})


def _prompt_values(prompt: Prompt) -> Values:
    return {
        "prompt": prompt.index,
        "island": prompt.island,
        "generation": prompt.generation,
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
        "feedback": {name: asdict(said) for name, said in evaluation.feedback.items()} or None,
    }


def _reset_values(reset: Reset) -> Values:
    return {
        "reset": reset.index,
        "after_evaluations": reset.after,
        "islands": reset.islands,
        "founders": reset.founders,
    }
