"""`funsearch list`: lists the runs of a database."""

from dataclasses import asdict

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="list", short_help="List the runs of the database.")
@options.db_option
@options.json_option
@options.verbosity
def command(db: str, as_json: bool) -> None:
    """Lists the runs of the database: problem, number of samples, best score and state."""
    from funsearch.storage import open_storage
    from funsearch.text import with_reason

    runs = open_storage(db, create=False).runs()
    if as_json:
        options.print_json([asdict(run) for run in runs])
        return
    table = Table("run", "problem", "samples", "best score", "state", box=None)
    for run in runs:
        best = "-" if run.best_score is None else f"{run.best_score:.6g}"
        table.add_row(run.run, run.problem, str(run.samples), best, with_reason(run.state, run.stopped))
    options.console().print(table)
