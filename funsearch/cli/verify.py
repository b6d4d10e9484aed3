"""`funsearch verify`: whether the best programs' scores are true."""

import sys
from dataclasses import asdict
from typing import Any

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="verify")
@click.argument("run")
@click.option(
    "--top", metavar="K", type=click.IntRange(min=1), default=10, show_default=True, help="How many programs."
)
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, top: int, db: str, as_json: bool) -> None:
    """Scores the best distinct programs of RUN again, each in a fresh sandbox, and compares with what was recorded.

    Also scores them on the held-out inputs. A program that comes to other scores is unstable: it depends on chance, on
    the clock, or on how often it has run, and its score means nothing. Exits with status 1 if there is one.

    \b
    funsearch verify bin_packing-1
    funsearch verify bin_packing-1 --top 100 --json
    """
    from funsearch.search.report import Scorer
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    scorer = Scorer(storage.run(run))
    lines = [asdict(scorer.verify(id, evaluation)) for id, evaluation in storage.best(run, top)]
    scorer.close()
    unstable = [line for line in lines if not line["stable"]]
    if as_json:
        options.print_json(lines)
    elif not lines:
        click.echo(f"The run {run} has no program with a score yet.")
    else:
        options.console().print(_table(lines))
        if unstable:
            click.echo(f"{len(unstable)} of {len(lines)} unstable: do not trust their scores.")
        else:
            click.echo(f"{len(lines)} of {len(lines)} score the same again.")
    sys.exit(1 if unstable else 0)


def _table(lines: list[dict[str, Any]]) -> Table:
    heldout = list(dict.fromkeys(name for line in lines for name in line["heldout"] or {}))
    table = Table("program", "recorded", "again", "", *(f"{name} (held out)" for name in heldout), box=None)
    for line in lines:
        again = f"{line['again']:.6g}" if line["again"] is not None else line["error"]
        scores = [(line["heldout"] or {}).get(name) for name in heldout]
        cells = ["-" if score is None else f"{score:.3f}" for score in scores]
        table.add_row(str(line["program"]), f"{line['score']:.6g}", again, "" if line["stable"] else "UNSTABLE", *cells)
    return table
