"""`funsearch train`: trains a model on its own correct answers (ReST^EM)."""

import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.rest_em.records import RoundRecord


def _false_if_given(_ctx: click.Context, _param: click.Parameter, given: bool | None) -> bool | None:
    """Returns the value of a setting that a flag turns off; None if the flag was not given."""
    return False if given else None


@click.command(name="train", short_help="Train a model on its own correct answers.")
@click.argument("tasks")
@click.option(
    "--model",
    default="",
    metavar="MODEL",
    help="Base model: a folder, or a name on a hub. [default: the small built-in model]",
)
@click.option(
    "--rounds",
    metavar="N",
    type=click.IntRange(min=0),
    help="Maximum number of rounds; 0 only measures the model. [default: 2]",
)
@click.option(
    "--samples-per-task",
    metavar="N",
    type=click.IntRange(min=1),
    help="Number of answers to each task in a round. [default: 32]",
)
@click.option(
    "--cutoff",
    "selection__cutoff",
    metavar="N",
    type=click.IntRange(min=1),
    help="Maximum number of correct answers kept per task. [default: 10]",
)
@click.option(
    "--method",
    "trainer__method",
    type=click.Choice(["sft", "dpo"]),
    help="How to train: sft on correct answers, dpo on pairs of a correct and a wrong one. [default: sft]",
)
@click.option(
    "--unfiltered",
    "selection__filtered",
    is_flag=True,
    default=None,
    callback=_false_if_given,
    help="Control experiment: train on all answers, correct or not.",
)
@click.option(
    "--sampler", type=click.Choice(["vllm", "transformers"]), help="Library that samples answers. [default: vllm]"
)
@click.option(
    "--evaluators",
    metavar="N",
    type=click.IntRange(min=1),
    help="Number of verifiers running at the same time. [default: 1]",
)
@click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Seed of all random draws. [default: 0]")
@click.option("--name", metavar="NAME", help="Name of the training. [default: the name of its tasks]")
@options.ray_option
@options.sandbox_options
@options.config_option
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting, e.g. trainer.learning_rate=1e-4. Can be repeated.",
)
@options.db_option
@options.json_option
@options.verbosity
def command(
    tasks: str,
    model: str,
    name: str | None,
    address: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    db: str,
    as_json: bool,
    **overrides: object,
) -> None:
    """Trains a model on its own correct answers (ReST^EM), round by round.

    TASKS is a task set from `funsearch tasks`, a JSON Lines file, or run:RUN for the samples of a search. A policy is
    published only if it is significantly better on held-out tasks. After Ctrl-C or a crash, run the same command again
    to resume.

    \b
    funsearch train reasoning --rounds 2
    funsearch train run:bin_packing-1 --name packer
    funsearch run bin_packing --sampler vllm:policy:packer
    """
    from funsearch.cli.training_view import TrainingView
    from funsearch.cluster.training import run_training
    from funsearch.settings.training import TrainingSettings
    from funsearch.storage import open_storage
    from funsearch.training.opening import open_training
    from funsearch.training.summary import summary

    settings = TrainingSettings.load(config, assignments, **overrides)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    screen = options.console(stderr=True)
    with closing(open_storage(db)) as storage:
        training = open_training(tasks, model, settings, name, storage, time.time())
        record = training.record
        screen.print(f"Training {record.name}: {record.tasks}, model {record.model}", soft_wrap=True)
        try:
            with TrainingView(screen) as view:
                rounds = run_training(training, storage, view.show, address)
        except KeyboardInterrupt:
            screen.print("Interrupted; everything finished is saved. Run the same command again to resume.")
            sys.exit(130)
    phase = settings.gate.pass_at_1
    if as_json:
        options.print_json(summary(record.name, rounds, phase))
    else:
        options.console().print(view.table(rounds, phase))
        _print_decisions(record.name, rounds)


def _print_decisions(name: str, rounds: "Sequence[RoundRecord]") -> None:
    for record in rounds:
        click.echo(f"round {record.round}: {'published' if record.published else 'not published'}: {record.reason}")
    if max(record.round for record in rounds if record.published):
        click.echo(f"  funsearch run PROBLEM --sampler vllm:policy:{name}      searches with the best policy")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
