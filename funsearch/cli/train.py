"""`funsearch train`: ReST^EM, the same reward trains the model."""

import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import click

from funsearch.cli import options


@click.command(name="train")
@click.argument("tasks")
@click.option(
    "--model",
    default="",
    metavar="MODEL",
    help="The base model: a folder or a hub's name. [default: the small built-in model]",
)
@click.option("--rounds", type=click.IntRange(min=0), help="Rounds at most; 0 measures the base model. [default: 2]")
@click.option("--samples-per-task", type=click.IntRange(min=1), help="Answers to each task in a round. [default: 32]")
@click.option("--cutoff", type=click.IntRange(min=1), help="Right answers kept of each task. [default: 10]")
@click.option("--method", type=click.Choice(["sft", "dpo"]), help="The M-step. [default: sft]")
@click.option("--unfiltered", is_flag=True, default=None, help="The control: train on answers whether right or wrong.")
@click.option("--sampler", type=click.Choice(["vllm", "transformers"]), help="Who answers. [default: vllm]")
@click.option("--evaluators", type=click.IntRange(min=1), help="Verifiers at work at once. [default: 1]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every draw. [default: 0]")
@click.option("--name", metavar="NAME", help="What to call the training. [default: after its tasks]")
@click.option("--ray", "address", metavar="ADDRESS", help="Join a Ray cluster instead of starting Ray here.")
@options.sandbox_option
@options.unsafe_option
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings in TOML.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting, e.g. trainer.learning_rate=1e-4."
)
@options.db_option
@options.json_option
@options.verbosity
def command(
    tasks: str,
    model: str,
    rounds: int | None,
    samples_per_task: int | None,
    cutoff: int | None,
    method: str | None,
    unfiltered: bool | None,
    sampler: str | None,
    evaluators: int | None,
    seed: int | None,
    name: str | None,
    address: str | None,
    sandbox: str | None,
    unsafe: bool | None,
    config: Path | None,
    assignments: tuple[str, ...],
    db: str,
    as_json: bool,
) -> None:
    """Trains a model on its own right answers (ReST^EM), round by round.

    TASKS is a task set from `funsearch tasks`, a JSON Lines file, or run:RUN for the samples of a search. A policy is
    published only if it is better on held-out tasks beyond doubt. After Ctrl-C or a crash the same command goes on.

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

    chosen: dict[str, Any] = {
        "rounds": rounds,
        "samples_per_task": samples_per_task,
        "selection__cutoff": cutoff,
        "selection__filtered": None if unfiltered is None else not unfiltered,
        "trainer__method": method,
        "sampler": sampler,
        "evaluators": evaluators,
        "seed": seed,
        "sandbox__level": sandbox,
        "sandbox__unsafe": unsafe,
    }
    settings = TrainingSettings.load(config, assignments, **chosen)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    screen = options.console(stderr=True)
    with closing(open_storage(db)) as storage:
        training = open_training(tasks, model, settings, name, storage, time.time())
        called = training.record.name
        screen.print(f"Training {called}: {training.record.tasks}, model {training.record.model}", soft_wrap=True)
        try:
            with TrainingView(screen) as view:
                done = run_training(training, storage, view.show, address)
        except KeyboardInterrupt:
            screen.print("Interrupted; everything finished is saved. The same command goes on.")
            sys.exit(130)
    how = settings.gate.pass_at_1
    if as_json:
        options.print_json(summary(called, done, how))
    else:
        options.console().print(view.table(done, how))
        for record in done:
            click.echo(f"round {record.round}: {'published' if record.published else 'not published'}: {record.reason}")
        best = max(record.round for record in done if record.published)
        if best:
            click.echo(f"  --sampler vllm:policy:{called}      has a search use it")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
