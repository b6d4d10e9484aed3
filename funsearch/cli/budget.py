"""The budget options that `run` and `resume` share."""

from typing import TYPE_CHECKING

import click

from funsearch.cli.options import F
from funsearch.errors import ConfigError

if TYPE_CHECKING:
    from funsearch.search.loop import Budget
    from funsearch.settings.search import Settings


def budget_options(command: F) -> F:
    """Adds --samples, --minutes, --max-cost and --target."""
    for option in reversed(
        (
            click.option(
                "--samples",
                metavar="N",
                type=click.IntRange(min=1),
                help="Stop at this number of samples over the run's whole life.",
            ),
            click.option(
                "--minutes",
                metavar="M",
                type=click.FloatRange(min=0, min_open=True),
                help="Stop after this many minutes.",
            ),
            click.option(
                "--max-cost",
                metavar="COST",
                type=click.FloatRange(min=0, min_open=True),
                help="Stop once the tokens cost this much over the run's whole life; needs the setting `prices`.",
            ),
            click.option("--target", metavar="SCORE", type=float, help="Stop once a program scores at least this."),
        )
    ):
        command = option(command)
    return command


def make_budget(
    settings: "Settings", samples: int | None, minutes: float | None, target: float | None, max_cost: float | None
) -> "Budget":
    """Returns the budget that the options ask for.

    Raises:
        ConfigError: there is a cost limit but no price list, or the price list lacks the policies to be trained.
    """
    from funsearch.search.loop import Budget

    if max_cost is not None and not settings.prices:
        raise ConfigError(
            "--max-cost needs a price list: give each model a `prompt` and a `completion` price per million tokens "
            "in the `prices` section of the settings. See docs/samplers.md."
        )
    if max_cost is not None and settings.train.every and "*" not in settings.prices:
        raise ConfigError(
            "--max-cost with --train needs a price for `*` in the `prices` section of the settings: it applies to the "
            "policies that the search will train."
        )
    return Budget(samples, minutes, target, max_cost)
