"""`funsearch resume`: continues a run."""

import click

from funsearch.cli import options
from funsearch.cli.budget import budget_options, make_budget


@click.command(name="resume", short_help="Continue a run where it stopped.")
@click.argument("run")
@budget_options
@options.sampler_options("the recorded samplers")
@options.evaluators_option("the recorded number")
@options.ray_option
@options.track_option
@options.db_option
@options.json_option
@options.verbosity
def command(
    run: str,
    samples: int | None,
    minutes: float | None,
    max_cost: float | None,
    target: float | None,
    address: str | None,
    track: str | None,
    db: str,
    as_json: bool,
    **overrides: object,
) -> None:
    """Continues RUN where it stopped, whether by Ctrl-C, a crash, or a budget that was used up.

    The run keeps its problem and its settings, and no finished sample is requested or evaluated again. Samplers and
    evaluators that are named here replace the recorded ones for this session. --samples counts over the run's whole
    life.

    \b
    funsearch resume bin_packing-1 --samples 5000
    funsearch resume bin_packing-1 --minutes 30 --evaluators auto
    funsearch resume bin_packing-1 --sampler openai:qwen2.5-coder --base-url http://localhost:8000/v1
    """
    from funsearch.cli.searching import run_search
    from funsearch.search.policies import with_policies
    from funsearch.search.runs import restored
    from funsearch.search.trackers import open_tracker
    from funsearch.settings.samplers import check_policies, check_samplers, resumed
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    with storage.lease(run):
        pass
    storage.close()
    recorded, problem = restored(record)
    settings = resumed(recorded, run, overrides)
    check_samplers(settings)
    if settings.samplers != recorded.samplers:
        settings = with_policies(settings, db)
        check_policies(settings)
    budget = make_budget(settings, samples, minutes, target, max_cost)
    tracker = open_tracker(track) if track else None
    run_search(record, problem, settings, budget, db, address, as_json, tracker)
