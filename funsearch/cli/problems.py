"""`funsearch problems`: lists the problems."""

from dataclasses import asdict

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="problems", short_help="List the problems.")
@options.json_option
@options.verbosity
def command(as_json: bool) -> None:
    """Lists the problems that are shipped or installed. `run` and `check` also accept the path of a .py file.

    \b
    funsearch problems
    funsearch check cap_set
    """
    from funsearch.loading import list_problems

    problems = list_problems()
    if as_json:
        options.print_json([{name: str(value) for name, value in asdict(problem).items()} for problem in problems])
        return
    table = Table("problem", "description", "package", box=None)
    for problem in problems:
        table.add_row(problem.name, problem.title, problem.origin)
    options.console().print(table)
