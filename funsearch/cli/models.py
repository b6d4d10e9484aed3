"""`funsearch models`: the policies that trainings made."""

from contextlib import closing
from typing import Any

import click
from rich.table import Table

from funsearch.cli import options


@click.command(name="models")
@options.db_option
@options.json_option
@options.verbosity
def command(db: str, as_json: bool) -> None:
    """Lists the policies: base models and versions, held-out pass@1, and where the weights are."""
    from funsearch.runtime.training import round_summary
    from funsearch.runtime.training_settings import TrainingSettings
    from funsearch.storage import open_training_storage

    lines: list[dict[str, Any]] = []
    with closing(open_training_storage(db, create=False)) as storage:
        for summary in storage.trainings():
            how = TrainingSettings.restored(storage.training(summary.name).settings).gate.pass_one
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
                    }
                )
    if as_json:
        options.print_json(lines)
        return
    table = Table("policy", "kind", "held-out pass@1", "published", "weights", box=None)
    for line in lines:
        measured = line["heldout_pass1"] is not None
        pass_one = f"{line['heldout_pass1']:.3f} ± {line['heldout_pass1_se']:.3f}" if measured else "-"
        published = {True: "yes", False: "no", None: "-"}[line["published"]]
        table.add_row(line["policy"], line["kind"], pass_one, published, line["folder"] or line["base"])
    options.console().print(table)
