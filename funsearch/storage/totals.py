"""The totals of a run: how many prompts, samples, tokens and evaluations it has, kept in step with the rows.

Works within a transaction that the caller opened.
"""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select, update

from funsearch.core.ports import Event
from funsearch.core.records import Evaluation, Prompt, Sample, Status, Tally, Usage
from funsearch.storage.tables import evaluations, models, samples, scored, totals

_TOTALS = ("prompts", "samples", "tokens", "evaluated", "valid", "duplicates")


def new_totals(connection: Connection, run: int) -> None:
    """Adds the totals of a new run, all zero."""
    connection.execute(insert(totals).values({"run": run, **dict.fromkeys(_TOTALS, 0)}))


def add_totals(connection: Connection, run: int, events: Sequence[Event]) -> None:
    """Adds the events to the totals. The first program, whose prompt index is negative, is not counted."""
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
        sums = {name: totals.c[name] + number for name, number in added.items()}
        connection.execute(update(totals).where(totals.c.run == run).values(sums))


def read_totals(connection: Connection, run: int) -> Tally:
    """Returns the totals of the run and its best score."""
    best = select(func.max(evaluations.c.score)).where(evaluations.c.run == run, scored).scalar_subquery()
    query = select(*(totals.c[name] for name in _TOTALS), best).where(totals.c.run == run)
    *counts, best_score = connection.execute(query).one()
    return Tally(**dict(zip(_TOTALS, counts, strict=True)), best_score=best_score)


def read_usage(connection: Connection, run: int) -> dict[str, Usage]:
    """Returns the number of samples and tokens of each model, by the model's name."""
    sums = (func.count(), func.sum(samples.c.prompt_tokens), func.sum(samples.c.tokens))
    query = select(models.c.name, *sums).join_from(samples, models)
    rows = connection.execute(query.where(samples.c.run == run, samples.c.prompt >= 0).group_by(models.c.name))
    return {model: Usage(count, int(prompt_tokens), int(tokens)) for model, count, prompt_tokens, tokens in rows}
