"""`funsearch check`: tries a problem without a model."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from funsearch.cli import options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from funsearch.core.ports import Sandbox
    from funsearch.loading import Problem

Scores = Mapping[str, float]
"""Scores by input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Result of trying a problem; its fields are what `--json` prints."""

    problem: str
    function: str
    inputs: list[str]
    status: str
    score: float | None
    scores: dict[str, float]
    prompt: str
    error: str
    seconds: float
    sandbox: str
    baselines: dict[str, dict[str, dict[str, float]]] | None
    """Scores on the inputs (`scores`) and on held-out ones (`heldout`) by program; None unless they were requested."""


@click.command(name="check", short_help="Try a problem without a model.")
@click.argument("problem")
@options.evaluator_option
@options.input_option
@options.sandbox_options
@click.option("--baselines", is_flag=True, help="Also score the problem's baselines, and all on held-out inputs.")
@options.image_options
@options.json_option
@options.verbosity
def command(
    problem: str,
    evaluator: Path | None,
    inputs: tuple[str, ...],
    baselines: bool,
    image: Path | None,
    on: str | None,
    as_json: bool,
    **overrides: object,
) -> None:
    """Loads PROBLEM, runs its first program in the sandbox, and prints the scores and the first prompt.

    Needs no model. Exits with status 1 if the first program gets no score. With --image, also draws what the first
    program builds, if the problem has pictures.

    \b
    funsearch check cap_set --input n=4
    funsearch check bin_packing --baselines
    funsearch check cap_set --image cap_set.svg --on n6
    """
    from funsearch.errors import ProblemError
    from funsearch.loading import load_problem
    from funsearch.sandbox import open_sandbox
    from funsearch.settings.search import Settings

    options.check_image(image, on)
    settings = Settings.load(None, (), **overrides).sandbox
    loaded = load_problem(problem, evaluator, inputs)
    box = open_sandbox(settings.level, unsafe=settings.unsafe)
    check, notes = _check(loaded, box, baselines)
    passed = check.status == "OK"
    figure = _draw(loaded, box, on) if image is not None and passed else None
    box.close()
    if as_json:
        facts = asdict(check)
        if check.baselines is None:
            del facts["baselines"]
        options.print_json(facts)
    else:
        _print(loaded, check, notes)
    if not passed:
        raise ProblemError(
            f"The first program of {loaded.name} gets no score: {check.status}: {check.error.strip()}. {_remedy(check)}"
        )
    if image is not None and figure is not None:
        options.write_image(figure, image)
    limit = loaded.evaluator.limits.seconds
    if check.seconds > limit * len(loaded.inputs):
        click.echo(
            f"Warning: evaluating the first program took longer than the limit of {limit:g} s for each input. The "
            "limit does not apply to the evaluator itself: make it faster, since a search waits for it.",
            err=True,
        )


def _check(problem: "Problem", sandbox: "Sandbox", baselines: bool) -> tuple[Check, dict[str, str]]:
    """Returns the result for the problem's first program, and the evaluator's notes by input."""
    from funsearch.core.prompt import best_shot_prompt
    from funsearch.core.records import joined_notes

    specification = problem.specification
    started = time.perf_counter()
    outcome = problem.scorer(sandbox).score(specification.first)
    seconds = time.perf_counter() - started
    shown_notes = [joined_notes(outcome.feedback)] if problem.evaluator.show_notes else []
    check = Check(
        problem=problem.name,
        function=specification.name,
        inputs=list(problem.inputs),
        status=outcome.status.value,
        score=outcome.score,
        scores=dict(outcome.scores),
        prompt=best_shot_prompt(specification, [specification.first], shown_notes),
        error=outcome.error,
        seconds=seconds,
        sandbox=sandbox.level,
        baselines=_baselines(problem, sandbox) if baselines else None,
    )
    return check, {name: feedback.notes for name, feedback in outcome.feedback.items() if feedback.notes}


def _baselines(problem: "Problem", sandbox: "Sandbox") -> dict[str, dict[str, dict[str, float]]]:
    """Returns the scores of the first program and the baselines on the inputs and on the held-out ones."""
    from funsearch.core.code.reading import read_file

    specification, evaluator = problem.specification, problem.evaluator
    functions = {name: read_file(specification, text) for name, text in evaluator.baselines.items()}
    scorers = {
        kind: problem.scorer(sandbox, inputs=inputs)
        for kind, inputs in (("scores", problem.inputs), ("heldout", problem.heldout))
        if inputs
    }
    return {
        name: {kind: dict(scorer.score(function).scores) for kind, scorer in scorers.items()}
        for name, function in {"first program": specification.first, **functions}.items()
    }


def _draw(problem: "Problem", sandbox: "Sandbox", on: str | None) -> "Figure":
    scorer = problem.scorer(sandbox, inputs=problem.all_inputs)
    return scorer.draw(problem.specification.first, on or list(problem.inputs)[-1])


def _print(problem: "Problem", check: Check, notes: Mapping[str, str]) -> None:
    specification = problem.specification
    click.echo(f"{problem.name}: {specification.title}")
    click.echo(f"evolves {specification.name}({', '.join(specification.parameters)}); inputs {', '.join(check.inputs)}")
    click.echo(f"first program: {check.status} in {check.seconds:.2f} s, sandbox {check.sandbox}")
    for name, score in check.scores.items():
        click.echo(f"  {name}: {score:g}" + (f" ({notes[name]})" if name in notes else ""))
    if check.baselines is not None:
        click.echo()
        options.console().print(_table(check.baselines))
    click.echo("\nThe first prompt:\n")
    click.echo(check.prompt)


def _table(baselines: Mapping[str, Mapping[str, Scores]]) -> Table:
    inputs, heldout = ({name: None for row in baselines.values() for name in row.get(kind, {})} for kind in KINDS)
    table = Table("program", *inputs, *(f"{name} (held out)" for name in heldout), box=None)
    for program, row in baselines.items():
        cells = [row["scores"].get(name) for name in inputs] + [row.get("heldout", {}).get(name) for name in heldout]
        table.add_row(program, *("-" if score is None else f"{score:.6g}" for score in cells))
    return table


KINDS = ("scores", "heldout")
REMEDIES = (
    ("BAD_SCORE", "not a number: None", "Return a number from `evaluate`."),
    ("BAD_SCORE", "", "`evaluate` has to return a finite number."),
    ("RUNTIME_ERROR", "cannot be sent", "Give inputs as plain data: numbers, strings, lists, dicts, arrays."),
    ("RUNTIME_ERROR", "has no function", "Call a function that the specification defines."),
    ("RUNTIME_ERROR", "the evaluator", "Fix the evaluator."),
    ("PROTOCOL", "", "Return plain data to the evaluator: numbers, strings, lists, dicts, arrays."),
    (
        "INVALID_SOLUTION",
        "",
        "Either the first program builds an invalid solution or the evaluator refuses a valid one.",
    ),
    ("TIMEOUT", "", "Make the first program faster or the inputs smaller, or set `limits` in the evaluator."),
    ("MEMORY", "", "Make the first program use less memory, or set `limits` in the evaluator."),
)
"""What to do about a first program without a score, by status and a part of the error."""


def _remedy(check: Check) -> str:
    for status, part, remedy in REMEDIES:
        if status == check.status and part in check.error:
            return remedy
    return f"Fix {check.function} or the code that calls it: the first program has to run on every input."
