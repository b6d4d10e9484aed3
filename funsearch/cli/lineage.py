"""`funsearch lineage`: shows the ancestors of a program."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import click

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.core.lineage import Step
    from funsearch.core.records import Evaluation


@click.command(name="lineage", short_help="Show the ancestors of a program.")
@click.argument("run")
@click.argument("program", type=click.IntRange(min=0))
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, program: int, db: str, as_json: bool) -> None:
    """Shows the ancestors of PROGRAM of RUN, from the first program on, with the score gain and diff of each step.

    A prompt shows several programs; each step goes back to the one that the new program resembles most. --json also
    lists all parents of every ancestor.

    \b
    funsearch best bin_packing-1
    funsearch lineage bin_packing-1 1019
    """
    from funsearch.core.lineage import ancestors, line_of_descent
    from funsearch.core.specification import Specification
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    specification = Specification.parse(record.specification, record.problem)
    find: Callable[[int], Evaluation] = cache(lambda id: storage.program(run, id))
    steps = line_of_descent(specification, program, find)
    parents = ancestors(program, find)
    if as_json:
        descent = {str(id): list(ids) for id, ids in parents.items()}
        line = [_json(step) for step in steps]
        options.print_json({"run": run, "program": program, "line": line, "ancestors": descent})
        return
    for step in steps:
        _print(step, run, options.same_db(db))
    click.echo(f"{_total(steps)}; {len(parents) - 1} ancestors in all, counting every program that the prompts showed.")


def _json(step: "Step") -> dict[str, object]:
    evaluation = step.evaluation
    return {
        "program": step.program,
        "score": evaluation.score,
        "scores": dict(evaluation.scores),
        "status": evaluation.status.value,
        "parent": step.parent,
        "parents": list(evaluation.sample.prompt.parents),
        "gain": step.gain,
        "others": {str(id): gain for id, gain in step.others.items()},
        "diff": step.diff,
        "model": evaluation.sample.model,
        "island": evaluation.sample.prompt.island,
    }


def _print(step: "Step", run: str, db_option: str) -> None:
    evaluation = step.evaluation
    score = "-" if evaluation.score is None else f"{evaluation.score:.6g}"
    gain = "" if step.gain is None else f", {step.gain:+.6g}"
    origin = "the first program" if step.parent is None else f"from program {step.parent} by {evaluation.sample.model}"
    options.print_text(f"program {step.program}: {score}{gain} ({origin}, {evaluation.status})")
    if step.others:
        others = ", ".join(_other(program, gain) for program, gain in step.others.items())
        comparison = f"funsearch diff {run} {max(step.others)} {step.program}{db_option}"
        options.print_text(f"the prompt also showed {others}; see `{comparison}`")
    options.print_diff(step.diff)


def _other(program: int, gain: float | None) -> str:
    return f"program {program}" + ("" if gain is None else f" ({gain:+.6g})")


def _total(steps: "Sequence[Step]") -> str:
    """Returns the number of steps and their total gain."""
    first, last = steps[0].evaluation.score, steps[-1].evaluation.score
    gain = f", {last - first:+.6g} over the first program" if last is not None and first is not None else ""
    return f"{len(steps) - 1} steps{gain}"
