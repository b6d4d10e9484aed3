"""`funsearch resume`: goes on with a run."""

import click

from funsearch.cli import options
from funsearch.cli.budget import budget_options, made_budget


@click.command(name="resume")
@click.argument("run")
@budget_options
@click.option("--ray", "address", metavar="ADDRESS", help="Join a Ray cluster instead of starting Ray here.")
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
) -> None:
    """Goes on with RUN where it stands, after Ctrl-C, a crash or a used-up budget, with the settings it had.

    Nothing finished is asked for or evaluated again. --samples counts over the run's whole life.

    \b
    funsearch resume bin_packing-1 --samples 5000
    """
    from funsearch.cli.searching import go
    from funsearch.search.runs import restored
    from funsearch.search.trackers import open_tracker
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    with storage.lease(run):
        pass
    storage.close()
    settings, problem = restored(record)
    go(
        record,
        problem,
        settings,
        made_budget(settings, samples, minutes, target, max_cost),
        db,
        address,
        as_json,
        open_tracker(track) if track else None,
    )
