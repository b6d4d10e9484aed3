"""`funsearch scale`: changes the number of samplers and evaluators of a running search."""

from typing import Literal, cast

import click

from funsearch.cli import options


@click.command(name="scale", short_help="Change the number of workers of a running search.")
@click.argument("run")
@options.evaluators_option("unchanged")
@click.option(
    "--samplers", metavar="N", type=click.IntRange(min=1), help="Number of copies of the model. [default: unchanged]"
)
@click.option(
    "--ray", "address", metavar="ADDRESS", default="auto", help="Ray cluster of the search. [default: the local one]"
)
@options.db_option
@options.verbosity
def command(run: str, evaluators: int | str | None, samplers: int | None, address: str, db: str) -> None:
    """Changes the number of samplers and evaluators of RUN while it is running.

    The change lasts until the search stops. New ones start as soon as the cluster has room for them; removed ones
    first finish the work that they have.

    \b
    funsearch scale bin_packing-1 --evaluators 150 --samplers 15
    """
    from funsearch.cluster.driver import resize
    from funsearch.storage import open_storage

    if evaluators is None and samplers is None:
        raise click.UsageError("Give the number of --evaluators, of --samplers, or of both.")
    storage = open_storage(db, create=False)
    record = storage.run(run)
    storage.close()
    resize(record, address, samplers, cast(int | Literal["auto"] | None, evaluators))
    counts = {"samplers": samplers, "evaluators": evaluators}
    click.echo(", ".join(f"{kind}: {count}" for kind, count in counts.items() if count is not None))
