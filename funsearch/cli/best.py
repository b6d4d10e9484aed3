"""`funsearch best`: the best distinct programs of a run."""

from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.cli.report import Entry, Scorer
    from funsearch.core.records import Evaluation


@click.command(name="best")
@click.argument("run")
@click.option("--top", metavar="K", type=click.IntRange(min=1), default=1, show_default=True, help="How many programs.")
@click.option("--select", metavar="K", type=click.IntRange(min=1), help="Choose among the K best on other inputs.")
@click.option("--heldout", is_flag=True, help="Score them on the inputs that nothing was chosen by, too.")
@click.option(
    "--baselines", is_flag=True, help="Add the first program and the problem's baselines, scored here and now."
)
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, top: int, select: int | None, heldout: bool, baselines: bool, db: str, as_json: bool) -> None:
    """Shows the best distinct programs of RUN, best first.

    A search fits its programs to its inputs. With --select the K best are scored on the problem's selection inputs and
    the best of those is shown; --heldout then reports on inputs by which nothing was chosen.

    \b
    funsearch best bin_packing-1 --top 3
    funsearch best bin_packing-1 --select 20 --heldout --baselines
    """
    from funsearch.cli.report import Entry, Scorer
    from funsearch.core.specification import Specification
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    found = dict(storage.best(run, max(top, select or 0)))
    entries = [Entry(str(id), e.function, e.scores) for id, e in found.items() if e.function is not None]
    others: list[Entry] = []
    if select or heldout or baselines:
        scorer = Scorer(record)
        entries, others = _complete(scorer, entries, top, select, heldout, baselines)
        scorer.close()
    specification = Specification.parse(record.specification, record.problem)
    chosen = [(entry, found[int(entry.name)]) for entry in entries[:top]]
    if as_json:
        options.print_json([_json(entry, e, specification.function_source(entry.function)) for entry, e in chosen])
        return
    if not chosen:
        click.echo(f"The run {run} has no program with a score yet.")
        return
    options.console().print(_table([*others, *entries[:top]]))
    for entry, evaluation in chosen:
        click.echo(f"\nprogram {entry.name}, score {evaluation.score:.6g}, sandbox {evaluation.sandbox}")
        options.print_code(specification.function_source(entry.function))


def _complete(
    scorer: "Scorer", entries: "list[Entry]", top: int, select: int | None, heldout: bool, baselines: bool
) -> "tuple[list[Entry], list[Entry]]":
    """Returns the entries as they are to be shown, and the baselines."""
    if select:
        entries = scorer.select(entries)
    entries, others = entries[:top], scorer.baselines() if baselines else []
    return (scorer.heldout(entries), scorer.heldout(others)) if heldout else (entries, others)


def _table(entries: "list[Entry]") -> Table:
    """Returns the scores, a program a row, search inputs before held-out ones."""
    inputs = list(dict.fromkeys(name for entry in entries for name in entry.scores))
    heldout = list(dict.fromkeys(name for entry in entries for name in entry.heldout or {}))
    table = Table("program", *inputs, *(f"{name} (held out)" for name in heldout), box=None)
    for entry in entries:
        cells = [entry.scores.get(name) for name in inputs] + [(entry.heldout or {}).get(name) for name in heldout]
        table.add_row(entry.name, *("-" if value is None else f"{value:.3f}" for value in cells))
    return table


def _json(entry: "Entry", evaluation: "Evaluation", code: str) -> dict[str, Any]:
    prompt = evaluation.sample.prompt
    return {
        "program": int(entry.name),
        "score": evaluation.score,
        "scores": dict(evaluation.scores),
        "heldout": entry.heldout,
        "code": code,
        "island": prompt.island,
        "parents": list(prompt.parents),
        "sample": evaluation.sample.text,
        "sandbox": evaluation.sandbox,
    }
