"""`funsearch check`: tries a problem out without a model."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from funsearch.cli import options
from funsearch.core.prompt import best_shot_prompt

if TYPE_CHECKING:
    from funsearch.core.ports import Sandbox
    from funsearch.loading import Problem


@click.command(name="check")
@click.argument("problem")
@options.evaluator_option
@options.input_option
@options.sandbox_option
@options.unsafe_option
@click.option("--baselines", is_flag=True, help="Score its baselines as well, and all on the held-out inputs.")
@options.image_options
@options.json_option
@options.verbosity
def command(
    problem: str,
    evaluator: Path | None,
    inputs: tuple[str, ...],
    sandbox: str | None,
    unsafe: bool | None,
    baselines: bool,
    image: Path | None,
    on: str | None,
    as_json: bool,
) -> None:
    """Parses PROBLEM, runs its first program in the sandbox, and prints the scores and the first prompt.

    Needs no model. Exits with 1 when the first program gets no score. With --image it also draws what the first
    program builds, if the problem has pictures.

    \b
    funsearch check cap_set --input n=4
    funsearch check bin_packing --baselines
    funsearch check cap_set --image cap_set.svg --on n6
    """
    from funsearch.core.records import Status, joined_notes
    from funsearch.errors import ProblemError
    from funsearch.loading import load_problem
    from funsearch.sandbox import open_sandbox

    options.check_image(image, on)
    loaded = load_problem(problem, evaluator, inputs)
    specification = loaded.specification
    box = open_sandbox(sandbox or "auto", unsafe=bool(unsafe))
    started = time.perf_counter()
    outcome = loaded.scorer(box).score(specification.first)
    seconds = time.perf_counter() - started
    shown = loaded.evaluator.show_notes
    prompt = best_shot_prompt(specification, [specification.first], [joined_notes(outcome.feedback)] if shown else [])
    compared = _compared(loaded, box) if baselines else {}
    figure = None
    if image is not None and outcome.status is Status.OK:
        artist = loaded.scorer(box, inputs=loaded.all_inputs)
        figure = artist.draw(specification.first, on or list(loaded.inputs)[-1])
    box.close()
    if as_json:
        options.print_json(
            {
                "problem": loaded.name,
                "function": specification.name,
                "inputs": list(loaded.inputs),
                "status": outcome.status.value,
                "score": outcome.score,
                "scores": dict(outcome.scores),
                "prompt": prompt,
                "error": outcome.error,
                "seconds": seconds,
                "sandbox": box.level,
                **({"baselines": compared} if baselines else {}),
            }
        )
    else:
        click.echo(f"{loaded.name}: {specification.title}")
        click.echo(
            f"evolves {specification.name}({', '.join(specification.parameters)}); inputs {', '.join(loaded.inputs)}"
        )
        click.echo(f"first program: {outcome.status} in {seconds:.2f} s, sandbox {box.level}")
        for name, score in outcome.scores.items():
            said = outcome.feedback.get(name)
            click.echo(f"  {name}: {score:g}" + (f" ({said.notes})" if said and said.notes else ""))
        if baselines:
            click.echo()
            options.console().print(_table(compared))
        click.echo("\nThe first prompt:\n")
        click.echo(prompt)
    if outcome.status is not Status.OK:
        raise ProblemError(
            f"The first program of {loaded.name} gets no score: {outcome.status}: {outcome.error.strip()}. "
            f"{_remedy(outcome.status.value, outcome.error, specification.name)}"
        )
    if image is not None:
        options.write_image(figure, image)
    limit = loaded.evaluator.limits.seconds
    if seconds > limit * len(loaded.inputs):
        click.echo(
            f"Warning: that took longer than the limit of {limit:g} s for each input. A candidate's time is limited, "
            "the evaluator's own is not: make it quicker, or a search will wait for it.",
            err=True,
        )


def _compared(problem: "Problem", sandbox: "Sandbox") -> dict[str, dict[str, dict[str, float]]]:
    """Returns the scores of the first program and of the baselines, on the inputs and on the held-out ones."""
    from funsearch.core.code.reading import read_file
    from funsearch.core.evaluator import Evaluator

    specification, evaluator = problem.specification, problem.evaluator
    functions = {name: read_file(specification, text) for name, text in evaluator.baselines.items()}
    scorers = {
        kind: Evaluator(specification, evaluator, sandbox, inputs=inputs)
        for kind, inputs in (("scores", problem.inputs), ("heldout", problem.heldout))
        if inputs
    }
    return {
        name: {kind: dict(scorer.score(function).scores) for kind, scorer in scorers.items()}
        for name, function in {"first program": specification.first, **functions}.items()
    }


def _table(compared: dict[str, dict[str, dict[str, float]]]) -> Table:
    scores, unseen = ({name: None for row in compared.values() for name in row.get(kind, {})} for kind in KINDS)
    table = Table("program", *scores, *(f"{name} (held out)" for name in unseen), box=None)
    for name, row in compared.items():
        cells = [row["scores"].get(of) for of in scores] + [row.get("heldout", {}).get(of) for of in unseen]
        table.add_row(name, *("-" if score is None else f"{score:.6g}" for score in cells))
    return table


KINDS = ("scores", "heldout")
REMEDIES = (
    ("BAD_SCORE", "not a number: None", "Return a number from `evaluate`."),
    ("BAD_SCORE", "", "`evaluate` has to return a finite number."),
    (
        "RUNTIME_ERROR",
        "cannot be sent",
        "Give inputs as plain data: numbers, texts, lists, dicts, arrays.",
    ),
    ("RUNTIME_ERROR", "has no function", "Call a function that the specification defines."),
    ("RUNTIME_ERROR", "the evaluator", "Mend the evaluator."),
    ("PROTOCOL", "", "Return plain data to the evaluator: numbers, texts, lists, dicts, arrays."),
    ("INVALID_SOLUTION", "", "Either what the program builds is no solution, or the evaluator refuses what is one."),
    ("TIMEOUT", "", "Make the first program quicker or the inputs smaller, or set `limits` in the evaluator."),
    ("MEMORY", "", "Let the first program use less, or set `limits` in the evaluator."),
)
"""What to do about a first program without a score, by status and a part of the error."""


def _remedy(status: str, error: str, function: str) -> str:
    for of, part, remedy in REMEDIES:
        if of == status and part in error:
            return remedy
    return f"Mend {function}, or what calls it: the first program must run on every input as it stands."
