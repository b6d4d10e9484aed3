"""`funsearch best`: the best distinct programs of a run."""

from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.core.records import Evaluation
    from funsearch.search.report import Entry


@click.command(name="best")
@click.argument("run")
@click.option("--top", metavar="K", type=click.IntRange(min=1), default=1, show_default=True, help="How many programs.")
@click.option("--select", metavar="K", type=click.IntRange(min=1), help="Choose among the K best on other inputs.")
@click.option(
    "--heldout/--no-heldout",
    default=None,
    help="Whether to show how they do on inputs that the search never saw.  [default: if the problem has any]",
)
@click.option("--baselines", is_flag=True, help="Add the problem's baselines, scored here and now.")
@options.db_option
@options.json_option
@options.verbosity
def command(
    run: str, top: int, select: int | None, heldout: bool | None, baselines: bool, db: str, as_json: bool
) -> None:
    """Shows the best distinct programs of RUN, best first, and how they do on inputs that the search never saw.

    A search fits its programs to its inputs. With --select the K best are scored on the problem's selection inputs and
    the best of those is shown, with its scores on the held-out inputs, by which nothing was chosen.

    \b
    funsearch best bin_packing-1 --top 3
    funsearch best bin_packing-1 --select 20 --baselines
    """
    from funsearch.search.report import Scorer, standing
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    scorer = Scorer(storage.run(run))
    found = dict(storage.best(run, max(top, select or 0)))
    if not found:
        _say_none(run, as_json)
        return
    leader = next(iter(found))
    if select:
        ranked = scorer.select({id: e.function for id, e in found.items() if e.function is not None})
        found = {id: found[id] for id in ranked}
    ids = list(found)[:top]
    with options.console(stderr=True).status("Scoring on held-out inputs ..."):
        entries = scorer.entries(
            {0: storage.program(run, 0), **{id: found[id] for id in ids}}, storage, heldout=heldout
        )
        with_heldout = any(entry.heldout for entry in entries.values())
        others = scorer.baselines(heldout=with_heldout) if baselines else []
    scorer.close()
    specification = scorer.problem.specification
    code = {id: specification.function_source(entry.function) for id, entry in entries.items()}
    if as_json:
        options.print_json([_json(id, entries[id], found[id], code[id]) for id in ids])
        return
    options.console().print(_table([entries[0], *others, *(entries[id] for id in ids if id)]))
    for id in ids:
        click.echo(f"\nprogram {id}, score {found[id].score:.6g}, sandbox {found[id].sandbox}")
        options.print_code(code[id])
    shown, where = ids[0], options.same_db(db)
    said = [scorer.gain(entries[0], entries[shown]), *standing(others, entries[shown])]
    if select:
        said.append(f"It was chosen among the {len(found)} best on the selection inputs; by its score {leader} leads.")
    elif scorer.problem.evaluator.selection:
        said.append(f"`funsearch best {run} --select 20 --baselines{where}` chooses on other inputs, which tells more.")
    click.echo("\n" + "\n".join(said))
    if shown:
        click.echo(f"  funsearch diff {run} 0 {shown}{where}      what it does differently")
        click.echo(f"  funsearch lineage {run} {shown}{where}      how it came about")


def _say_none(run: str, as_json: bool) -> None:
    if as_json:
        options.print_json([])
    else:
        click.echo(f"The run {run} has no program with a score yet.")


def _table(entries: "list[Entry]") -> Table:
    """Returns the scores, a program a row, search inputs before held-out ones."""
    inputs = list(dict.fromkeys(name for entry in entries for name in entry.scores))
    heldout = list(dict.fromkeys(name for entry in entries if entry.heldout for name in entry.heldout.scores))
    table = Table("program", *inputs, *(f"{name} (held out)" for name in heldout), box=None)
    table.caption = "higher is better"
    for entry in entries:
        unseen = entry.heldout.scores if entry.heldout else {}
        cells = [entry.scores.get(name) for name in inputs] + [unseen.get(name) for name in heldout]
        table.add_row(entry.name, *("-" if value is None else f"{value:.3f}" for value in cells))
    return table


def _json(id: int, entry: "Entry", evaluation: "Evaluation", code: str) -> dict[str, Any]:
    prompt = evaluation.sample.prompt
    return {
        "program": id,
        "score": evaluation.score,
        "scores": dict(evaluation.scores),
        "heldout": dict(entry.heldout.scores) if entry.heldout else None,
        "code": code,
        "island": prompt.island,
        "parents": list(prompt.parents),
        "sample": evaluation.sample.text,
        "sandbox": evaluation.sandbox,
    }
