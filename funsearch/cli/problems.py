"""`funsearch problems`: what can be searched."""

from dataclasses import asdict

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="problems")
@options.json_option
@options.verbosity
def command(as_json: bool) -> None:
    """Lists the problems that are shipped and installed. Any path to a .py file works as well."""
    from funsearch.loading import list_problems

    problems = list_problems()
    if as_json:
        options.print_json([{name: str(value) for name, value in asdict(problem).items()} for problem in problems])
        return
    table = Table("problem", "what it is", "from", box=None)
    for problem in problems:
        table.add_row(problem.name, problem.title, problem.origin)
    options.console().print(table)
