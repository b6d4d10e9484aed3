"""`funsearch tasks`: lists the task sets."""

from dataclasses import asdict

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="tasks", short_help="List the task sets to train on.")
@options.json_option
@options.verbosity
def command(as_json: bool) -> None:
    """Lists the task sets that are shipped or installed. `train` also accepts a JSON Lines file of tasks.

    \b
    funsearch tasks
    funsearch train reasoning
    """
    from funsearch.tasks.opening import list_task_sets

    task_sets = list_task_sets()
    if as_json:
        options.print_json([asdict(info) for info in task_sets])
        return
    table = Table("task set", "description", "package", box=None)
    for info in task_sets:
        table.add_row(info.name, info.title, info.origin)
    options.console().print(table)
