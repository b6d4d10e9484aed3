"""`funsearch plot`: draws a run."""

import base64
import html
from pathlib import Path
from typing import TYPE_CHECKING

import click

from funsearch.cli import options
from funsearch.errors import FunsearchError
from funsearch.picture import encoded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (".png", ".svg", ".html")


@click.command(name="plot", short_help="Draw a run as a picture.")
@click.argument("run")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File to write, ending in .png, .svg or .html. [default: RUN.png]",
)
@options.db_option
@options.verbosity
def command(run: str, output: Path | None, db: str) -> None:
    """Draws RUN: the score of every program over the samples, island resets, and the shares of the statuses.

    \b
    funsearch plot bin_packing-1 -o bin_packing.svg
    """
    from funsearch.search.plotting import plot
    from funsearch.storage import open_storage

    file = output or Path(f"{run}.png")
    if file.suffix not in KINDS:
        raise FunsearchError(f"Cannot draw to {file}: use a file name that ends in {', '.join(KINDS)}.")
    storage = open_storage(db, create=False)
    points = list(storage.points(run))
    if not points:
        raise FunsearchError(f"The run {run} has nothing to draw: its first program has not been evaluated yet.")
    figure = plot(run, points, storage.resets(run))
    write(figure, file, run)
    click.echo(f"wrote {file}")


def write(figure: "Figure", file: Path, title: str) -> None:
    """Writes a picture in the format of its file name's ending.

    Raises:
        FunsearchError: the file cannot be written.
    """
    data = encoded(figure, "svg" if file.suffix == ".svg" else "png")
    if file.suffix == ".html":
        picture = base64.b64encode(data).decode()
        title = html.escape(title)
        page = f'<!doctype html><meta charset="utf-8"><title>{title}</title><img alt="{title}" style="max-width:100%" '
        data = f'{page}src="data:image/png;base64,{picture}">\n'.encode()
    try:
        file.write_bytes(data)
    except OSError as error:
        raise FunsearchError(f"Cannot write {file}: {error.strerror}.") from None
