"""`funsearch models`: the policies that trainings made."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.rest_em.ports import TrainingReader


@click.command(name="models")
@click.argument("training", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With TRAINING: FILE.md for a report, FILE.png, .svg or .html for a picture of its rounds.",
)
@options.db_option
@options.json_option
@options.verbosity
def command(training: str | None, output: Path | None, db: str, as_json: bool) -> None:
    """Lists the policies: base models and versions, held-out pass@1, and where the weights are.

    \b
    funsearch models first -o first.md
    """
    from funsearch.settings.training import TrainingSettings
    from funsearch.storage import open_storage
    from funsearch.training.summary import round_summary

    lines: list[dict[str, Any]] = []
    with closing(open_storage(db, create=False)) as storage:
        if output is not None:
            _write(storage, training, output)
            return
        if training is not None:
            storage.training(training)
        for summary in storage.trainings():
            if training not in (None, summary.name):
                continue
            how = TrainingSettings.restored(storage.training(summary.name).settings).gate.pass_at_1
            ended = {record.round: round_summary(record, how) for record in storage.rounds(summary.name)}
            for policy in storage.policies(summary.name):
                figures = ended.get(policy.round)
                lines.append(
                    {
                        "policy": policy.name,
                        "training": summary.name,
                        "round": policy.round,
                        "kind": policy.kind,
                        "base": policy.base,
                        "folder": policy.folder,
                        "heldout_pass1": figures["heldout_pass1"] if figures else None,
                        "heldout_pass1_se": figures["heldout_pass1_se"] if figures else None,
                        "published": figures["published"] if figures else None,
                        "state": summary.state,
                        "stopped": summary.stopped,
                    }
                )
    if as_json:
        options.print_json(lines)
        return
    table = Table("policy", "kind", "held-out pass@1", "published", "weights", box=None)
    for line in lines:
        measured = line["heldout_pass1"] is not None
        pass_at_1 = f"{line['heldout_pass1']:.3f} ± {line['heldout_pass1_se']:.3f}" if measured else "-"
        published = {True: "yes", False: "no", None: "-"}[line["published"]]
        table.add_row(line["policy"], line["kind"], pass_at_1, published, line["folder"] or line["base"])
    options.console().print(table)


def _write(storage: "TrainingReader", training: str | None, file: Path) -> None:
    """Writes a training's report or picture.

    Raises:
        FunsearchError: it has no round yet, or the file is of another kind or cannot be written.
    """
    from funsearch.cli import plot
    from funsearch.cli.training_report import markdown, picture
    from funsearch.errors import FunsearchError
    from funsearch.settings.training import TrainingSettings

    if training is None:
        raise FunsearchError(f"Name the training that {file} shall show: funsearch models TRAINING -o {file}.")
    if file.suffix not in (".md", *plot.KINDS):
        raise FunsearchError(f"{file} is of no kind that can be written: .md, {', '.join(plot.KINDS)}.")
    record, rounds = storage.training(training), storage.rounds(training)
    if not rounds:
        raise FunsearchError(f"The training {training} has not ended a round yet.")
    how = TrainingSettings.restored(record.settings).gate.pass_at_1
    if file.suffix == ".md":
        try:
            file.write_text(markdown(record, rounds, how), encoding="utf-8")
        except OSError as error:
            raise FunsearchError(f"Cannot write {file}: {error.strerror}.") from None
    else:
        plot.write(picture(training, rounds, how), file, training)
    click.echo(f"wrote {file}")
