"""`funsearch diff`: compares two programs of a run."""

import click

from funsearch.cli import options


@click.command(name="diff", short_help="Compare two programs of a run.")
@click.argument("run")
@click.argument("a", type=click.IntRange(min=0))
@click.argument("b", type=click.IntRange(min=0))
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, a: int, b: int, db: str, as_json: bool) -> None:
    """Shows the changes from program A of RUN to program B, with the scores of both.

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
        both = [before.score, after.score]
        options.print_json({"run": run, "a": a, "b": b, "score": both, "scores": scores, "diff": text})
        return
    for id, evaluation in ((a, before), (b, after)):
        score = evaluation.error if evaluation.score is None else f"{evaluation.score:.6g}"
        options.print_text(f"program {id}: {evaluation.status} {score}")
    for name, (old, new) in scores.items():
        gain = "" if old is None or new is None else f" ({new - old:+.6g})"
        values = ["-" if score is None else f"{score:.6g}" for score in (old, new)]
        click.echo(f"  {name}: {' to '.join(values)}{gain}")
    if text:
        options.print_diff(text)
    else:
        click.echo("The two programs have the same text.")
