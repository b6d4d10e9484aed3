"""`funsearch best`: the best distinct programs of a run."""

from typing import Any

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="best")
@click.argument("run")
@click.option("--top", metavar="K", type=click.IntRange(min=1), default=1, show_default=True, help="How many programs.")
@click.option("--heldout", is_flag=True, help="Score them on the inputs that the search never saw, too.")
@click.option(
    "--baselines", is_flag=True, help="Add the problem's baselines and the first program, scored here and now."
)
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, top: int, heldout: bool, baselines: bool, db: str, as_json: bool) -> None:
    """Shows the best distinct programs of RUN, best first.

    \b
    funsearch best bin_packing-1 --top 3
    funsearch best bin_packing-1 --heldout --baselines
    """
    from funsearch.cli.report import Entry, score_entries
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    found = storage.best(run, top)
    entries = [Entry(f"program {id}", evaluation.function, dict(evaluation.scores)) for id, evaluation in found]
    problem, entries = score_entries(record, entries, heldout=heldout, baselines=baselines)
    if as_json:
        held = {entry.name: entry.heldout for entry in entries}
        options.print_json([_json(id, e, problem, held[f"program {id}"]) for id, e in found])
        return
    screen = options.console()
    if not found:
        screen.print(f"The run {run} has no program with a score yet.")
        return
    inputs, heldout_names = list(problem.inputs), list(problem.heldout) if heldout else []
    table = Table("program", *inputs, *(f"{name} (held out)" for name in heldout_names), box=None)
    for entry in entries:
        cells = [entry.scores.get(name) for name in inputs] + [
            (entry.heldout or {}).get(name) for name in heldout_names
        ]
        table.add_row(entry.name, *("-" if value is None else f"{value:.4f}" for value in cells))
    screen.print(table)
    for id, evaluation in found:
        screen.print(f"\nprogram {id}, score {evaluation.score:.6g}, sandbox {evaluation.sandbox}")
        options.print_code(problem.specification.function_source(evaluation.function))


def _json(id: int, evaluation: Any, problem: Any, heldout: dict[str, float] | None) -> dict[str, Any]:
    prompt = evaluation.sample.prompt
    return {
        "program": id,
        "score": evaluation.score,
        "scores": dict(evaluation.scores),
        "heldout": heldout,
        "code": problem.specification.function_source(evaluation.function),
        "island": prompt.island,
        "parents": list(prompt.parents),
        "sample": evaluation.sample.text,
        "sandbox": evaluation.sandbox,
    }
