"""`funsearch models`: lists the policies of trainings."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.rest_em.ports import TrainingReader


@click.command(name="models", short_help="List the policies of trainings.")
@click.argument("training", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With TRAINING: write a report (FILE.md) or a picture of its rounds (FILE.png, .svg or .html).",
)
@options.db_option
@options.json_option
@options.verbosity
def command(training: str | None, output: Path | None, db: str, as_json: bool) -> None:
    """Lists the policies, of TRAINING or of all trainings: held-out pass@1, and where the weights are.

    A published policy can be searched with: --sampler vllm:policy:TRAINING.

    \b
    funsearch models
    funsearch models packer -o packer.md
    """
    from funsearch.settings.training import TrainingSettings
    from funsearch.storage import open_storage
    from funsearch.training.summary import round_summary

    lines: list[dict[str, object]] = []
    with closing(open_storage(db, create=False)) as storage:
        if output is not None:
            _write(storage, training, output)
            return
        if training is not None:
            storage.training(training)
        for summary in storage.trainings():
            if training not in (None, summary.name):
                continue
            phase = TrainingSettings.restored(storage.training(summary.name).settings).gate.pass_at_1
            figures_of = {record.round: round_summary(record, phase) for record in storage.rounds(summary.name)}
            for policy in storage.policies(summary.name):
                figures = figures_of.get(policy.round)
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
        published = "-" if line["published"] is None else "yes" if line["published"] else "no"
        weights = line["folder"] or line["base"]
        table.add_row(str(line["policy"]), str(line["kind"]), pass_at_1, published, str(weights))
    options.console().print(table)


def _write(storage: "TrainingReader", training: str | None, file: Path) -> None:
    """Writes a training's report or picture.

    Raises:
        FunsearchError: it has no finished round, or the file's kind is unknown, or it cannot be written.
    """
    from funsearch.cli import plot
    from funsearch.cli.training_report import markdown, picture
    from funsearch.errors import FunsearchError
    from funsearch.settings.training import TrainingSettings

    if training is None:
        raise FunsearchError(f"Name the training to write to {file}: funsearch models TRAINING -o {file}.")
    if file.suffix not in (".md", *plot.KINDS):
        raise FunsearchError(f"Cannot write to {file}: use a file name that ends in .md, {', '.join(plot.KINDS)}.")
    record, rounds = storage.training(training), storage.rounds(training)
    if not rounds:
        raise FunsearchError(f"The training {training} has not finished a round yet.")
    phase = TrainingSettings.restored(record.settings).gate.pass_at_1
    if file.suffix == ".md":
        try:
            file.write_text(markdown(record, rounds, phase), encoding="utf-8")
        except OSError as error:
            raise FunsearchError(f"Cannot write {file}: {error.strerror}.") from None
    else:
        plot.write(picture(training, rounds, phase), file, training)
    click.echo(f"wrote {file}")
