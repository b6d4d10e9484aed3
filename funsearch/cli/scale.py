"""`funsearch scale`: adds samplers and evaluators to a running search, or takes some away."""

from typing import Literal, cast

import click

from funsearch.cli import options


@click.command(name="scale")
@click.argument("run")
@click.option("--evaluators", type=options.CountOrAuto(), help="How many there shall be; `auto` fills the cluster.")
@click.option("--samplers", type=click.IntRange(min=1), help="How many copies of the model there shall be.")
@click.option(
    "--ray", "address", metavar="ADDRESS", default="auto", help="The cluster. [default: the one running here]"
)
@options.db_option
@options.verbosity
def command(run: str, evaluators: int | str | None, samplers: int | None, address: str, db: str) -> None:
    """Changes how many samplers and evaluators work at RUN while it is running, for as long as it runs.

    Who is added begins as soon as the cluster has room; who is taken away finishes what it has.

    \b
    funsearch scale bin_packing-1 --evaluators 150 --samplers 15
    """
    from funsearch.cluster.driver import resize
    from funsearch.storage import open_storage

    if evaluators is None and samplers is None:
        raise click.UsageError("Say how many: --evaluators N, --samplers N, or both.")
    storage = open_storage(db, create=False)
    record = storage.run(run)
    storage.close()
    resize(record, address, samplers, cast(int | Literal["auto"] | None, evaluators))
    wanted = {"samplers": samplers, "evaluators": evaluators}
    click.echo(", ".join(f"{kind}: {count}" for kind, count in wanted.items() if count is not None))
