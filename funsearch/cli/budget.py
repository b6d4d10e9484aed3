"""The budget options that `run` and `resume` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def budget_options(command: F) -> F:
    """Adds --samples, --minutes and --target."""
    for option in reversed(
        (
            click.option(
                "--samples", type=click.IntRange(min=1), help="Stop at so many samples, over the run's whole life."
            ),
            click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so many minutes."),
            click.option("--target", type=float, help="Stop once a program scores at least this."),
        )
    ):
        command = option(command)
    return command
