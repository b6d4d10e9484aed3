"""`funsearch lineage`: how a program came about."""

import click

from funsearch.cli import options


@click.command(name="lineage")
@click.argument("run")
@click.argument("program", type=click.IntRange(min=0))
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, program: int, db: str, as_json: bool) -> None:
    """Shows how PROGRAM of RUN came about: its ancestors from the first program on, with gain and diff for each step.

    A prompt shows several programs; a step goes back to the one that the new program is most like. --json has all
    parents of every ancestor, too.

    \b
    funsearch best bin_packing-1
    funsearch lineage bin_packing-1 1019
    """
    from functools import cache

    from funsearch.core.lineage import ancestors, line_of_descent
    from funsearch.core.specification import Specification
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    specification = Specification.parse(record.specification, record.problem)

    @cache
    def find(id: int):  # type: ignore[no-untyped-def]
        return storage.program(run, id)

    steps = line_of_descent(specification, program, find)
    if as_json:
        line = [
            {
                "program": step.program,
                "score": step.evaluation.score,
                "scores": dict(step.evaluation.scores),
                "status": step.evaluation.status.value,
                "parent": step.parent,
                "parents": list(step.evaluation.sample.prompt.parents),
                "gain": step.gain,
                "others": {str(id): gain for id, gain in step.others.items()},
                "diff": step.diff,
                "model": step.evaluation.sample.model,
                "island": step.evaluation.sample.prompt.island,
            }
            for step in steps
        ]
        descent = {str(id): list(parents) for id, parents in ancestors(program, find).items()}
        options.print_json({"run": run, "program": program, "line": line, "ancestors": descent})
        return
    for step in steps:
        score = "-" if step.evaluation.score is None else f"{step.evaluation.score:.6g}"
        gain = "" if step.gain is None else f", {step.gain:+.6g}"
        made = (
            "the first program"
            if step.parent is None
            else f"from program {step.parent} by {step.evaluation.sample.model}"
        )
        options.print_text(f"program {step.program}: {score}{gain} ({made}, {step.evaluation.status})")
        if step.others:
            others = ", ".join(_other(*one) for one in step.others.items())
            compare = f"funsearch diff {run} {max(step.others)} {step.program}{options.same_db(db)}"
            options.print_text(f"shown besides: {others}; see `{compare}`")
        options.print_diff(step.diff)
    count = len(ancestors(program, find)) - 1
    last, first = steps[-1].evaluation.score, find(0).score
    over = f", {last - first:+.6g} over the first program" if last is not None and first is not None else ""
    click.echo(
        f"{len(steps) - 1} steps{over}; {count} ancestors in all, through every program that the prompts showed."
    )


def _other(program: int, gain: float | None) -> str:
    return f"program {program}" + ("" if gain is None else f" ({gain:+.6g})")
