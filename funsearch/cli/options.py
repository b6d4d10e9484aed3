"""Options that several verbs share, and functions that print results for people or as JSON.

An option that changes a setting is named after the setting, with `__` between section and name, as `Settings.load`
takes it. A verb collects these options in one dictionary, `**overrides`.
"""

import json
import logging
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from rich.console import Console
from rich.syntax import Syntax

from funsearch.text import visible, writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F = TypeVar("F", bound=Callable[..., object])


class CountOrAuto(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A number of at least one, or `auto`."""

    name = "N|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        if value == "auto":
            return "auto"
        return click.IntRange(min=1)(value, param, ctx)


def none_if_empty(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """Returns the values of a repeatable option, or None if it was not given."""
    return values or None


DEFAULT_DB = "sqlite:///funsearch.db"
DB_VARIABLE = "FUNSEARCH_DB"
db_option = click.option(
    "--db",
    metavar="URL",
    envvar=DB_VARIABLE,
    default=DEFAULT_DB,
    show_default=True,
    help="Database of the runs: sqlite:///FILE or postgresql://... ($FUNSEARCH_DB).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else to standard output.")
input_option = click.option(
    "--input",
    "inputs",
    metavar="NAME=VALUE",
    multiple=True,
    help="Replaces the problem's inputs: a Python literal, or @FILE. Can be repeated.",
)
evaluator_option = click.option(
    "--evaluator",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the evaluator, if it is not in ../evaluators/ beside the problem.",
)
ray_option = click.option(
    "--ray", "address", metavar="ADDRESS", help="Join this Ray cluster instead of starting Ray on this machine."
)
track_option = click.option(
    "--track", metavar="SPEC", help="Also log the progress to tensorboard:FOLDER or mlflow:EXPERIMENT."
)
config_option = click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="TOML file of settings; see docs/settings.md."
)


def sandbox_options(command: F) -> F:
    """Adds --sandbox and --unsafe-no-sandbox, named after their settings."""
    level = click.option(
        "--sandbox",
        "sandbox__level",
        type=click.Choice(["auto", "L1", "L2", "L3"]),
        help="Required level of confinement. [default: the best this machine offers]",
    )
    unsafe = click.option(
        "--unsafe-no-sandbox",
        "sandbox__unsafe",
        is_flag=True,
        default=None,
        help="Run candidates without confinement if this machine offers none. Their scores are marked.",
    )
    return level(unsafe(command))


def evaluators_option(default: str) -> Callable[[F], F]:
    """Returns the option --evaluators, whose help names the default."""
    text = "Number of programs to evaluate at the same time; `auto` uses the whole machine or cluster."
    return click.option("--evaluators", type=CountOrAuto(), metavar="N|auto", help=f"{text} [default: {default}]")


def sampler_options(default: str) -> Callable[[F], F]:
    """Returns a decorator that adds --sampler, --base-url and --api-key-env, named after their settings."""
    sampler = click.option(
        "--sampler",
        "samplers",
        multiple=True,
        callback=none_if_empty,
        metavar="SPEC",
        help="Model to sample from: vllm[:MODEL], vllm:policy:NAME, openai:MODEL, transformers:MODEL or "
        f"scripted:FILE. Repeat the option for a mixture. [default: {default}]",
    )
    base_url = click.option("--base-url", "openai__base_url", metavar="URL", help="Endpoint of openai:MODEL.")
    api_key_env = click.option(
        "--api-key-env",
        "openai__api_key_env",
        metavar="VAR",
        help="Environment variable that holds the endpoint's key, such as OPENAI_API_KEY.",
    )
    return lambda command: sampler(base_url(api_key_env(command)))


def image_options(command: F) -> F:
    """Adds --image and --on."""
    picture = click.Path(path_type=Path, dir_okay=False)
    image = click.option(
        "--image", metavar="FILE", type=picture, help="Draw what the program builds, to FILE.png or FILE.svg."
    )
    on = click.option("--on", metavar="INPUT", help="Input to draw it for; may be a held-out one. [default: the last]")
    return image(on(command))


def verbosity(command: F) -> F:
    """Adds -v and -q."""

    def set_level(_ctx: click.Context, param: click.Parameter, value: int) -> None:
        if value:
            level = logging.ERROR if param.name == "quiet" else (logging.INFO if value == 1 else logging.DEBUG)
            logging.getLogger("funsearch").setLevel(level)

    logging.basicConfig(format="%(message)s")
    for name, text in (("-q", "Log errors only."), ("-v", "Log more; -vv logs everything.")):
        long = "--quiet" if name == "-q" else "--verbose"
        command = click.option(name, long, count=True, expose_value=False, callback=set_level, help=text)(command)
    return command


def print_json(value: object) -> None:
    """Prints a JSON value on one line."""
    click.echo(json.dumps(value, allow_nan=False))


def check_image(image: Path | None, on: str | None) -> None:
    """Refuses a picture that `write_image` could not write, before anything is run.

    Raises:
        PictureError: the file cannot be written, or --on was given without --image.
    """
    from funsearch.errors import PictureError
    from funsearch.picture import check_file

    if image is not None:
        check_file(image)
    elif on is not None:
        raise PictureError(f"--on {on} chooses the input to draw: add --image FILE.png or --image FILE.svg.")


def write_image(figure: "Figure", image: Path) -> None:
    """Writes a picture and reports the file on standard error."""
    from funsearch.picture import save

    save(figure, image)
    click.echo(f"wrote {image}", err=True)


def print_text(text: str) -> None:
    """Prints text of a model or a program: with control characters escaped on a terminal, unchanged elsewhere."""
    click.echo(visible(text) if console().is_terminal else writable(text))


def print_code(code: str, language: str = "python") -> None:
    """Prints code, highlighted on a terminal and unchanged elsewhere."""
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
    """Returns the --db option that a suggested command needs to read the same database, without its password."""
    from funsearch.storage.opening import without_password

    return "" if db in (DEFAULT_DB, os.environ.get(DB_VARIABLE)) else f" --db {shlex.quote(without_password(db))}"


def console(stderr: bool = False) -> Console:
    """Returns a console that does not interpret markup, since models write some of what is printed."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)
