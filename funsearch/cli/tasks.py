"""`funsearch tasks`: what a model can be trained on."""

from dataclasses import asdict

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="tasks")
@options.json_option
@options.verbosity
def command(as_json: bool) -> None:
    """Lists the task sets that are shipped and installed. A JSON Lines file of a known form works as well."""
    from funsearch.tasks.opening import list_task_sets

    found = list_task_sets()
    if as_json:
        options.print_json([asdict(info) for info in found])
        return
    table = Table("task set", "what it is", "from", box=None)
    for info in found:
        table.add_row(info.name, info.title, info.origin)
    options.console().print(table)
