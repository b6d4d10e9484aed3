"""`funsearch replay`: repeats a run from its recorded samples and compares."""

import sys

import click

from funsearch.cli import options


@click.command(name="replay", short_help="Repeat a run from its recorded samples and compare.")
@click.argument("run")
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, db: str, as_json: bool) -> None:
    """Repeats RUN from its seed and its recorded samples, and compares every prompt, island and score.

    Needs no model. Evaluates every recorded program again. Exits with status 1 if anything differs.

    \b
    funsearch replay bin_packing-1
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
        click.echo(f"Identical: all {result.prompts} prompts and {result.samples} samples of {run} match the record.")
    else:
        click.echo(f"Different: {result.first_difference}")
    sys.exit(0 if result.first_difference is None else 1)
