"""`funsearch diff`: two programs of a run side by side."""

import click

from funsearch.cli import options


@click.command(name="diff")
@click.argument("run")
@click.argument("a", type=click.IntRange(min=0))
@click.argument("b", type=click.IntRange(min=0))
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, a: int, b: int, db: str, as_json: bool) -> None:
    """Shows what changed from program A of RUN to program B, and what each scores.

    \b
    funsearch diff bin_packing-1 0 1019
    """
    from funsearch.core.lineage import difference
    from funsearch.core.specification import Specification
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    before, after = storage.program(run, a), storage.program(run, b)
    text = difference(Specification.parse(record.specification, record.problem), a, before, b, after)
    scores = {name: [e.scores.get(name) for e in (before, after)] for name in {**before.scores, **after.scores}}
    if as_json:
        found = {"a": a, "b": b, "score": [before.score, after.score], "scores": scores, "diff": text}
        options.print_json({"run": run, **found})
        return
    for id, evaluation in ((a, before), (b, after)):
        score = evaluation.error if evaluation.score is None else f"{evaluation.score:.6g}"
        options.print_text(f"program {id}: {evaluation.status} {score}")
    for name, (one, other) in scores.items():
        gain = "" if one is None or other is None else f" ({other - one:+.6g})"
        shown = ["-" if score is None else f"{score:.6g}" for score in (one, other)]
        click.echo(f"  {name}: {' to '.join(shown)}{gain}")
    if text:
        options.print_diff(text)
    else:
        click.echo("The two are the same text.")
