"""The command line: one module per verb. A verb imports heavy libraries only when it is called."""

import importlib
import os
import sys

import click

from funsearch._version import __version__
from funsearch.errors import FunsearchError

VERBS = {
    "run": "funsearch.cli.run",
    "resume": "funsearch.cli.resume",
    "scale": "funsearch.cli.scale",
    "replay": "funsearch.cli.replay",
    "verify": "funsearch.cli.verify",
    "list": "funsearch.cli.list",
    "best": "funsearch.cli.best",
    "show": "funsearch.cli.show",
    "lineage": "funsearch.cli.lineage",
    "diff": "funsearch.cli.diff",
    "plot": "funsearch.cli.plot",
    "export": "funsearch.cli.export",
    "ui": "funsearch.cli.ui",
    "init": "funsearch.cli.init",
    "check": "funsearch.cli.check",
    "evaluate": "funsearch.cli.evaluate",
    "problems": "funsearch.cli.problems",
    "train": "funsearch.cli.train",
    "tasks": "funsearch.cli.tasks",
    "models": "funsearch.cli.models",
    "doctor": "funsearch.cli.doctor",
}
"""Modules of the verbs; each defines a click command named `command`."""

INTERRUPTED = 130


class Verbs(click.Group):
    """A group that imports a verb's module only when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(VERBS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="funsearch")
def group() -> None:
    """Discovers programs with a language model (FunSearch), and trains the model on its own correct answers (ReST^EM).

    \b
    funsearch check cap_set          try a problem and see its first prompt; needs no model
    funsearch run bin_packing        search with the small built-in model
    funsearch best bin_packing-1     show the best program of that run
    funsearch run --help             options and examples; every command has --help
    """


def main() -> None:
    """Runs the command line. An error prints one message and exits with status 1, an interruption with 130."""
    try:
        group(standalone_mode=False)
    except click.exceptions.Exit as request:
        sys.exit(request.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except FunsearchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
