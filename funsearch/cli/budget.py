"""The budget options that `run` and `resume` share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from funsearch.errors import ConfigError

if TYPE_CHECKING:
    from funsearch.search.loop import Budget
    from funsearch.settings.search import Settings

F = TypeVar("F", bound=Callable[..., Any])


def budget_options(command: F) -> F:
    """Adds --samples, --minutes, --max-cost and --target."""
    for option in reversed(
        (
            click.option(
                "--samples", type=click.IntRange(min=1), help="Stop at so many samples, over the run's whole life."
            ),
            click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after so many minutes."),
            click.option(
                "--max-cost",
                type=click.FloatRange(min=0, min_open=True),
                help="Stop once the tokens have cost so much, over the run's whole life; needs `prices`.",
            ),
            click.option("--target", type=float, help="Stop once a program scores at least this."),
        )
    ):
        command = option(command)
    return command


def made_budget(
    settings: "Settings", samples: int | None, minutes: float | None, target: float | None, max_cost: float | None
) -> "Budget":
    """Returns the budget that the options say.

    Raises:
        ConfigError: there is a limit to the cost, and nothing has a price, or not what will be trained.
    """
    from funsearch.search.loop import Budget

    if max_cost is not None and not settings.prices:
        raise ConfigError(
            "--max-cost needs a price list: give each model a `prompt` and a `completion` price for a million tokens "
            "in the settings' section `prices`. See docs/samplers.md."
        )
    if max_cost is not None and settings.train.every and "*" not in settings.prices:
        raise ConfigError(
            "--max-cost with --train needs a price for `*` in the settings' section `prices`: it stands for the "
            "policies that the search will train."
        )
    return Budget(samples, minutes, target, max_cost)
