"""`funsearch verify`: scores the best programs again and compares."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.table import Table

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.search.report import Verification


@click.command(name="verify", short_help="Score the best programs again and compare.")
@click.argument("run")
@click.option(
    "--top",
    metavar="K",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of programs to verify.",
)
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, top: int, db: str, as_json: bool) -> None:
    """Scores the best distinct programs of RUN again, each in a fresh sandbox, and compares with the recorded scores.

    Also scores them on the held-out inputs. A program whose scores differ is unstable: it depends on chance, on the
    clock, or on how often it has run, and its score is meaningless. Exits with status 1 if a program is unstable.

    \b
    funsearch verify bin_packing-1
    funsearch verify bin_packing-1 --top 100 --json
    """
    from funsearch.search.report import Scorer
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    scorer = Scorer(storage.run(run))
    verified = [scorer.verify(id, evaluation) for id, evaluation in storage.best(run, top)]
    scorer.close()
    unstable = [program for program in verified if not program.stable]
    if as_json:
        options.print_json([asdict(program) for program in verified])
    elif not verified:
        click.echo(f"No program of the run {run} has been scored yet.")
    else:
        options.console().print(_table(verified))
        if unstable:
            click.echo(f"{len(unstable)} of {len(verified)} programs are unstable: do not trust their scores.")
        else:
            click.echo(f"All {len(verified)} programs have the recorded scores.")
    sys.exit(1 if unstable else 0)


def _table(verified: "Sequence[Verification]") -> Table:
    heldout = list(dict.fromkeys(name for program in verified for name in program.heldout or {}))
    table = Table("program", "recorded", "again", "", *(f"{name} (held out)" for name in heldout), box=None)
    for program in verified:
        again = f"{program.again:.6g}" if program.again is not None else program.error
        scores = [(program.heldout or {}).get(name) for name in heldout]
        cells = ["-" if score is None else f"{score:.3f}" for score in scores]
        table.add_row(str(program.program), f"{program.score:.6g}", again, "" if program.stable else "UNSTABLE", *cells)
    return table
