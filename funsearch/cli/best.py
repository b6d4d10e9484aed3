"""`funsearch best`: the best distinct programs of a run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from rich.table import Table

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.core.records import Evaluation
    from funsearch.search.report import Entry


@click.command(name="best", short_help="Show the best programs of a run.")
@click.argument("run")
@click.option(
    "--top", metavar="K", type=click.IntRange(min=1), default=1, show_default=True, help="Number of programs to show."
)
@click.option(
    "--select", metavar="K", type=click.IntRange(min=1), help="Rank the K best programs again, on validation inputs."
)
@click.option(
    "--heldout/--no-heldout",
    default=None,
    help="Whether to show scores on held-out inputs.  [default: if the problem has any]",
)
@click.option("--baselines", is_flag=True, help="Also score the problem's baselines, on this machine.")
@options.db_option
@options.json_option
@options.verbosity
def command(
    run: str, top: int, select: int | None, heldout: bool | None, baselines: bool, db: str, as_json: bool
) -> None:
    """Shows the best distinct programs of RUN, best first, with their scores on inputs that the search never saw.

    A search fits its programs to its own inputs. With --select, the K best programs are scored on the problem's
    validation inputs, and the best of those is shown. Its scores on the held-out inputs are then unbiased, because
    they were not used to choose it.

    \b
    funsearch best bin_packing-1 --top 3
    funsearch best bin_packing-1 --select 20 --baselines
    """
    from funsearch.search.report import Scorer, standing
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    scorer = Scorer(storage.run(run))
    best = dict(storage.best(run, max(top, select or 0)))
    if not best:
        _report_empty(run, as_json)
        return
    leader = next(iter(best))
    if select:
        ranking = scorer.select({id: e.function for id, e in best.items() if e.function is not None})
        best = {id: best[id] for id in ranking}
    ids = list(best)[:top]
    with options.console(stderr=True).status("Scoring on held-out inputs ..."):
        entries = scorer.entries({0: storage.program(run, 0), **{id: best[id] for id in ids}}, storage, heldout=heldout)
        with_heldout = any(entry.heldout for entry in entries.values())
        others = scorer.baselines(heldout=with_heldout) if baselines else []
    scorer.close()
    specification = scorer.problem.specification
    code = {id: specification.function_source(entry.function) for id, entry in entries.items()}
    if as_json:
        options.print_json([_json(id, entries[id], best[id], code[id]) for id in ids])
        return
    options.console().print(_table([entries[0], *others, *(entries[id] for id in ids if id)]))
    _print_programs({id: best[id] for id in ids}, code)
    comparison = [scorer.gain(entries[0], entries[ids[0]]), *standing(others, entries[ids[0]])]
    if select:
        comparison.append(
            f"Chosen from the {len(best)} best on the validation inputs. Program {leader} scored highest."
        )
    elif scorer.problem.evaluator.selection:
        suggestion = f"funsearch best {run} --select 20 --baselines{options.same_db(db)}"
        comparison.append(f"To choose on validation inputs, which is more reliable: `{suggestion}`.")
    click.echo("\n" + "\n".join(comparison))
    if ids[0]:
        _suggest(run, ids[0], options.same_db(db))


def _report_empty(run: str, as_json: bool) -> None:
    if as_json:
        options.print_json([])
    else:
        click.echo(f"No program of the run {run} has been scored yet.")


def _print_programs(programs: "Mapping[int, Evaluation]", code: Mapping[int, str]) -> None:
    for id, evaluation in programs.items():
        click.echo(f"\nprogram {id}, score {evaluation.score:.6g}, sandbox {evaluation.sandbox}")
        options.print_code(code[id])


def _suggest(run: str, program: int, db_option: str) -> None:
    click.echo(f"  funsearch diff {run} 0 {program}{db_option}      compares it with the first program")
    click.echo(f"  funsearch lineage {run} {program}{db_option}      shows its ancestors")


def _table(entries: "list[Entry]") -> Table:
    """Returns the scores with one row per program, search inputs before held-out ones."""
    inputs = list(dict.fromkeys(name for entry in entries for name in entry.scores))
    heldout = list(dict.fromkeys(name for entry in entries if entry.heldout for name in entry.heldout.scores))
    table = Table("program", *inputs, *(f"{name} (held out)" for name in heldout), box=None)
    table.caption = "higher is better"
    for entry in entries:
        heldout_scores = entry.heldout.scores if entry.heldout else {}
        cells = [entry.scores.get(name) for name in inputs] + [heldout_scores.get(name) for name in heldout]
        table.add_row(entry.name, *("-" if value is None else f"{value:.3f}" for value in cells))
    return table


def _json(id: int, entry: "Entry", evaluation: "Evaluation", code: str) -> dict[str, object]:
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
