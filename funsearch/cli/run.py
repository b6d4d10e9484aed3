"""`funsearch run`: starts a search."""

import time
from pathlib import Path
from typing import Any

import click

from funsearch.cli import options
from funsearch.cli.budget import budget_options, made_budget


@click.command(name="run")
@click.argument("problem")
@options.evaluator_option
@options.input_option
@click.option(
    "--sampler",
    "samplers",
    multiple=True,
    metavar="SPEC",
    help="vllm[:MODEL], vllm:policy:NAME, openai:MODEL, transformers:MODEL or scripted:FILE; several make a mixture. "
    "[default: the small built-in model]",
)
@click.option("--base-url", metavar="URL", help="The endpoint that openai:MODEL talks to.")
@click.option("--api-key-env", metavar="VAR", help="The variable that holds its key. [default: OPENAI_API_KEY]")
@budget_options
@click.option("--islands", type=click.IntRange(min=1), help="Islands of the database. [default: 10]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of every draw. [default: 0]")
@click.option(
    "--evaluators",
    type=options.CountOrAuto(),
    help="Evaluators at work at once; `auto` fills the machine or cluster. [default: 1]",
)
@click.option(
    "--train",
    "training",
    multiple=True,
    metavar="KEY=VALUE",
    help="Have the search train its model on what it finds (ReST^EM): every=5000 after each 5,000 samples; also "
    "pause=false, trainer.method=dpo, tasks.heldout=50, ...",
)
@click.option("--name", metavar="RUN", help="What to call the run. [default: PROBLEM-1, PROBLEM-2, ...]")
@click.option("--ray", "address", metavar="ADDRESS", help="Join a Ray cluster instead of starting Ray here.")
@options.sandbox_option
@options.unsafe_option
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings in TOML.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting, e.g. vllm.temperature=0.8."
)
@options.track_option
@options.db_option
@options.json_option
@options.verbosity
def command(
    problem: str,
    evaluator: Path | None,
    inputs: tuple[str, ...],
    samplers: tuple[str, ...],
    base_url: str | None,
    api_key_env: str | None,
    samples: int | None,
    minutes: float | None,
    max_cost: float | None,
    target: float | None,
    islands: int | None,
    seed: int | None,
    evaluators: int | str | None,
    training: tuple[str, ...],
    name: str | None,
    address: str | None,
    sandbox: str | None,
    unsafe: bool | None,
    config: Path | None,
    assignments: tuple[str, ...],
    track: str | None,
    db: str,
    as_json: bool,
) -> None:
    """Searches for better programs for PROBLEM: a name from `funsearch problems`, or a path to a .py file.

    Runs until a budget is used up or Ctrl-C is pressed; everything finished is saved, and `funsearch resume` goes on.

    \b
    funsearch run cap_set --input n=5 --samples 500
    funsearch run bin_packing --minutes 10
    funsearch run bin_packing --minutes 60 --train every=1000
    funsearch run my/problem.py --sampler openai:qwen2.5-coder --base-url http://localhost:8000/v1
    """
    from funsearch.cli.searching import go
    from funsearch.loading import load_problem
    from funsearch.sandbox import open_sandbox
    from funsearch.search.runs import new_run
    from funsearch.search.trackers import open_tracker
    from funsearch.settings.samplers import check_policies, check_samplers
    from funsearch.settings.search import Settings
    from funsearch.storage import open_storage
    from funsearch.training.policies import with_policies

    chosen: dict[str, Any] = {
        "samplers": samplers or None,
        "openai__base_url": base_url,
        "openai__api_key_env": api_key_env,
        "database__islands": islands,
        "seed": seed,
        "evaluators": evaluators,
        "sandbox__level": sandbox,
        "sandbox__unsafe": unsafe,
    }
    settings = Settings.load(config, [*assignments, *(f"train.{one}" for one in training)], **chosen)
    budget = made_budget(settings, samples, minutes, target, max_cost)
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
    go(run, loaded, settings, budget, db, address, as_json, tracker)
