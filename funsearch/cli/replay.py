"""`funsearch replay`: runs again from the recorded answers and compares."""

import sys

import click

from funsearch.cli import options


@click.command(name="replay")
@click.argument("run")
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, db: str, as_json: bool) -> None:
    """Runs RUN again from its seed and the recorded answers, and compares every prompt, island and score.

    Needs no model. Every program that was evaluated is evaluated again. Exits with 1 when anything differs.
    """
    from rich.progress import Progress as Bar

    from funsearch.sandbox import open_sandbox
    from funsearch.search.replay import replay
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    unsafe = record.sandbox == "none"
    sandbox = open_sandbox("auto" if unsafe else record.sandbox, unsafe=unsafe)
    with Bar(console=options.console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"Replaying {run}", total=None)
        result = replay(storage, record, sandbox, lambda done, total: bar.update(task, completed=done, total=total))
    sandbox.close()
    if as_json:
        options.print_json(
            {
                "run": run,
                "identical": result.first_difference is None,
                "prompts": result.prompts,
                "samples": result.samples,
                "first_difference": result.first_difference,
            }
        )
    elif result.first_difference is None:
        click.echo(f"Identical: {result.prompts} prompts and {result.samples} samples of {run}.")
    else:
        click.echo(f"Different: {result.first_difference}")
    sys.exit(0 if result.first_difference is None else 1)
