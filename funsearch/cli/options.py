"""Options that several verbs share, and the two ways of answering: for a person or as JSON."""

import json
import logging
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.syntax import Syntax

from funsearch.text import visible, writable

F = TypeVar("F", bound=Callable[..., Any])


class CountOrAuto(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number of at least one, or `auto`."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "auto":
            return "auto"
        return click.IntRange(min=1).convert(value, param, ctx)


DEFAULT_DB = "sqlite:///funsearch.db"
DB_VARIABLE = "FUNSEARCH_DB"
db_option = click.option(
    "--db",
    metavar="URL",
    envvar=DB_VARIABLE,
    default=DEFAULT_DB,
    show_default=True,
    help="Where runs are kept: sqlite:///FILE or postgresql://... ($FUNSEARCH_DB).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output.")
input_option = click.option(
    "--input",
    "inputs",
    metavar="NAME=VALUE",
    multiple=True,
    help="Replaces the problem's inputs: a Python literal, or @FILE. May be given several times.",
)
evaluator_option = click.option(
    "--evaluator",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The evaluator's file, when it is not beside the problem in ../evaluators/.",
)
track_option = click.option(
    "--track", metavar="SPEC", help="Also draw the run's course elsewhere: tensorboard:FOLDER or mlflow:EXPERIMENT."
)
sandbox_option = click.option(
    "--sandbox",
    type=click.Choice(["auto", "L1", "L2", "L3"]),
    help="Level of confinement to insist on. [default: the best this machine can do]",
)
unsafe_option = click.option(
    "--unsafe-no-sandbox",
    "unsafe",
    is_flag=True,
    default=None,
    help="Run candidates without confinement if there is none to be had. Every score made so is marked.",
)


def image_options(command: F) -> F:
    """Adds --image and --on."""
    picture = click.Path(path_type=Path, dir_okay=False)
    image = click.option("--image", metavar="FILE", type=picture, help="Draw what it builds: FILE.png or FILE.svg.")
    on = click.option("--on", metavar="INPUT", help="The input to draw it for, a held-out one too. [default: the last]")
    return image(on(command))


def verbosity(command: F) -> F:
    """Adds -v and -q."""

    def set_level(_ctx: click.Context, param: click.Parameter, value: int) -> None:
        if value:
            level = logging.ERROR if param.name == "quiet" else (logging.INFO if value == 1 else logging.DEBUG)
            logging.getLogger("funsearch").setLevel(level)

    logging.basicConfig(format="%(message)s")
    for name, text in (("-q", "Say less."), ("-v", "Say more; -vv for everything.")):
        long = "--quiet" if name == "-q" else "--verbose"
        command = click.option(name, long, count=True, expose_value=False, callback=set_level, help=text)(command)
    return command


def print_json(value: Any) -> None:
    """Prints one JSON value on a line of its own."""
    click.echo(json.dumps(value, allow_nan=False))


def check_image(image: Path | None, on: str | None) -> None:
    """Refuses what `write_image` would refuse in the end, before anything is run."""
    from funsearch.errors import PictureError
    from funsearch.picture import check_file

    if image is not None:
        check_file(image)
    elif on is not None:
        raise PictureError(f"--on {on} says what to draw: add --image FILE.png or --image FILE.svg.")


def write_image(figure: Any, image: Path) -> None:
    """Writes a picture and says so."""
    from funsearch.picture import save

    save(figure, image)
    click.echo(f"wrote {image}", err=True)


def print_text(text: str) -> None:
    """Prints what a model or a program wrote: unchanged into a file or pipe, harmless on a terminal."""
    click.echo(visible(text) if console().is_terminal else writable(text))


def print_code(code: str, language: str = "python") -> None:
    """Prints code, in colour on a terminal and unchanged elsewhere."""
    screen = console()
    if screen.is_terminal:
        screen.print(Syntax(visible(code), language, background_color="default", word_wrap=True))
    else:
        click.echo(writable(code))


def print_diff(diff: str) -> None:
    """Prints a unified diff, if it is not empty."""
    if diff:
        print_code(diff, "diff")


def same_db(db: str) -> str:
    """Returns what a command that is suggested has to end with, so that it reads the same database; no password."""
    from funsearch.storage.opening import without_password

    return "" if db in (DEFAULT_DB, os.environ.get(DB_VARIABLE)) else f" --db {shlex.quote(without_password(db))}"


def console(stderr: bool = False) -> Console:
    """Returns a console that does not interpret what models wrote."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)
