"""Records to rows and rows to records, within a transaction that somebody else opened.

Knows nothing about runs' names, nor about opening and closing anything.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, bindparam, func, insert, select, text, type_coerce, update

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
    RunCounts,
    Sample,
    Snapshot,
    Status,
    Usage,
)
from funsearch.storage.columns import ExactText, unescape
from funsearch.storage.tables import (
    evaluations,
    heldout,
    models,
    prompts,
    resets,
    samples,
    scored,
    snapshots,
    totals,
)

Condition = ColumnElement[bool]
Values = dict[str, Any]

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
_TOTALS = ("prompts", "samples", "tokens", "evaluated", "valid", "duplicates")
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


def has_event(connection: Connection, run: int, event: Event) -> bool:
    """Returns whether the event is written already."""
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


def read_registered(connection: Connection, run: int, *where: Condition) -> list[tuple[int, Evaluation]]:
    """Returns the evaluations that meet the conditions with what registering asks for, in the order of their ids.

    Half of what taking up a million evaluations costs would be the types of their columns: they are read as plain text.
    """
    query = select(*(type_coerce(column, Text()) if column in _ENCODED else column for column in _REGISTERED))
    rows = connection.execute(query.where(evaluations.c.run == run, *where).order_by(evaluations.c.program)).all()
    short = select(prompts.c.prompt, prompts.c.island, prompts.c.resets, prompts.c.version, prompts.c.parents)
    wanted = prompts.c.prompt.in_({row[1] for row in rows})
    found = connection.execute(short.where(prompts.c.run == run, wanted))
    prompt_of = {
        index: Prompt(index, island, generation, "", version, tuple(parents), 0)
        for index, island, generation, version, parents in found
    }
    return [
        (
            program,
            Evaluation(
                Sample(prompt_of[prompt], sample, "", "", ""),
                _STATUS[status],
                None if body is None else Function(unescape(body), unescape(preamble)),
                unescape(key),
                {} if scores == "{}" else json.loads(unescape(scores)),
                duplicate_of=duplicate_of,
                score=score,
                feedback=_feedback(feedback and json.loads(unescape(feedback))),
            ),
        )
        for program, prompt, sample, status, body, preamble, key, scores, duplicate_of, score, feedback in rows
    ]


def read_totals(connection: Connection, run: int) -> RunCounts:
    """Returns the run in numbers."""
    best = select(func.max(evaluations.c.score)).where(evaluations.c.run == run, scored).scalar_subquery()
    query = select(*(totals.c[name] for name in _TOTALS), best).where(totals.c.run == run)
    *counts, best_score = connection.execute(query).one()
    return RunCounts(**dict(zip(_TOTALS, counts, strict=True)), best_score=best_score)


def read_usage(connection: Connection, run: int) -> dict[str, Usage]:
    """Returns what each model was asked for and gave."""
    sums = (func.count(), func.sum(samples.c.prompt_tokens), func.sum(samples.c.tokens))
    query = select(models.c.name, *sums).join_from(samples, models)
    rows = connection.execute(query.where(samples.c.run == run, samples.c.prompt >= 0).group_by(models.c.name))
    return {model: Usage(count, int(asked), int(given)) for model, count, asked, given in rows}


def add_totals(connection: Connection, run: int, events: Sequence[Event]) -> None:
    """Counts the events in."""
    added = Counter[str]()
    for event in events:
        match event:
            case Prompt(index=index) if index >= 0:
                added["prompts"] += 1
            case Sample() if event.prompt.index >= 0:
                added["samples"] += 1
                added["tokens"] += event.tokens
            case Evaluation() if event.sample.prompt.index >= 0:
                if event.duplicate_of is not None:
                    added["duplicates"] += 1
                elif event.function is not None:
                    added["evaluated"] += 1
                    added["valid"] += event.status is Status.OK
    if added:
        more = {name: totals.c[name] + number for name, number in added.items()}
        connection.execute(update(totals).where(totals.c.run == run).values(more))


def new_totals(connection: Connection, run: int) -> None:
    """Begins to count a run."""
    connection.execute(insert(totals).values({"run": run, **dict.fromkeys(_TOTALS, 0)}))


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
    rest[-1] = _feedback(rest[-1])
    return Evaluation(sample, Status(status), function, *rest)


def _snapshot(values: Values) -> Snapshot:
    usage = {model: Usage(**used) for model, used in values["usage"].items()}
    islands = tuple(IslandView(**island) for island in values["islands"])
    return Snapshot(**values | {"usage": usage, "islands": islands})


def _feedback(stored: Mapping[str, Any] | None) -> dict[str, Feedback]:
    return {name: Feedback(**said) for name, said in stored.items()} if stored else {}


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
        "feedback": {name: asdict(said) for name, said in evaluation.feedback.items()} or None,
    }


def _reset_values(reset: Reset) -> Values:
    return {
        "reset": reset.index,
        "after_evaluations": reset.after,
        "islands": reset.islands,
        "founders": reset.founders,
    }
