"""`funsearch run`: starts a search."""

import time
from pathlib import Path

import click

from funsearch.cli import options
from funsearch.cli.budget import budget_options, make_budget


@click.command(name="run", short_help="Search for better programs for a problem.")
@click.argument("problem")
@options.evaluator_option
@options.input_option
@options.sampler_options("the small built-in model")
@budget_options
@click.option(
    "--islands", "database__islands", metavar="N", type=click.IntRange(min=1), help="Number of islands. [default: 10]"
)
@click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Seed of all random draws. [default: 0]")
@options.evaluators_option("1")
@click.option(
    "--train",
    "training",
    multiple=True,
    metavar="KEY=VALUE",
    help="Train the model on the search's own samples (ReST^EM): every=5000 does so after every 5,000 samples. Also "
    "takes pause=false, trainer.method=dpo, tasks.heldout=50, ...",
)
@click.option("--name", metavar="RUN", help="Name of the run. [default: PROBLEM-1, PROBLEM-2, ...]")
@options.ray_option
@options.sandbox_options
@options.config_option
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting, e.g. vllm.temperature=0.8. Can be repeated.",
)
@options.track_option
@options.db_option
@options.json_option
@options.verbosity
def command(
    problem: str,
    evaluator: Path | None,
    inputs: tuple[str, ...],
    samples: int | None,
    minutes: float | None,
    max_cost: float | None,
    target: float | None,
    training: tuple[str, ...],
    name: str | None,
    address: str | None,
    config: Path | None,
    assignments: tuple[str, ...],
    track: str | None,
    db: str,
    as_json: bool,
    **overrides: object,
) -> None:
    """Searches for better programs for PROBLEM: a name from `funsearch problems`, or the path of a .py file.

    The search runs until a budget is used up or you press Ctrl-C. Everything finished is saved, and `funsearch resume`
    continues the run.

    \b
    funsearch run cap_set --input n=5 --samples 500
    funsearch run bin_packing --minutes 10
    funsearch run bin_packing --minutes 60 --train every=1000
    funsearch run my/problem.py --sampler openai:qwen2.5-coder --base-url http://localhost:8000/v1
    """
    from funsearch.cli.searching import run_search
    from funsearch.loading import load_problem
    from funsearch.sandbox import open_sandbox
    from funsearch.search.policies import with_policies
    from funsearch.search.runs import new_run
    from funsearch.search.trackers import open_tracker
    from funsearch.settings.samplers import check_policies, check_samplers
    from funsearch.settings.search import Settings
    from funsearch.storage import open_storage

    settings = Settings.load(config, [*assignments, *(f"train.{setting}" for setting in training)], **overrides)
    budget = make_budget(settings, samples, minutes, target, max_cost)
    check_samplers(settings)
    settings = with_policies(settings, db)
    check_policies(settings)
    loaded = load_problem(problem, evaluator, inputs)
    box = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)
    box.close()
    tracker = open_tracker(track) if track else None
    storage = open_storage(db)
    run = new_run(loaded, settings, storage, box.level, name, time.time())
    storage.close()
    run_search(run, loaded, settings, budget, db, address, as_json, tracker)
