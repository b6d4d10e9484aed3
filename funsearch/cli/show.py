"""`funsearch show`: shows one program of a run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.core.records import Evaluation, HeldOut


@click.command(name="show", short_help="Show one program: code, scores, prompt and answer.")
@click.argument("run")
@click.argument("program", type=click.IntRange(min=0))
@options.image_options
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, program: int, image: Path | None, on: str | None, db: str, as_json: bool) -> None:
    """Shows PROGRAM of RUN: code, scores, held-out scores, parents, prompt, and the model's answer.

    Every sample of a run has a program number, even if it failed; 0 is the first program. With --image, also draws
    what the program builds, if the problem has pictures.

    \b
    funsearch show bin_packing-1 17
    funsearch show cap_set-1 0 --image set.svg --on n6
    """
    from funsearch.core.records import Status
    from funsearch.errors import PictureError
    from funsearch.search.report import Scorer
    from funsearch.storage import open_storage

    options.check_image(image, on)
    storage = open_storage(db, create=False)
    scorer = Scorer(storage.run(run))
    evaluation = storage.program(run, program)
    function = evaluation.function
    code = scorer.problem.specification.function_source(function) if function else None
    scored = {program: evaluation} if evaluation.status is Status.OK else {}
    entry = scorer.entries(scored, storage).get(program)
    if image is not None:
        if function is None:
            raise PictureError(f"Nothing to draw: program {program} of {run} is {evaluation.status}.")
        options.write_image(scorer.draw(function, on), image)
    scorer.close()
    facts = _facts(program, evaluation, entry.heldout if entry else None, code)
    if as_json:
        options.print_json(facts)
    else:
        _print(facts, evaluation, code)


def _facts(program: int, evaluation: "Evaluation", heldout: "HeldOut | None", code: str | None) -> dict[str, object]:
    from funsearch.core.records import joined_notes

    sample, feedback = evaluation.sample, evaluation.feedback
    return {
        "program": program,
        "status": evaluation.status.value,
        "score": evaluation.score,
        "scores": dict(evaluation.scores),
        "heldout": dict(heldout.scores) if heldout else None,
        "stage": evaluation.stage,
        "notes": joined_notes(feedback),
        "artifacts": {name: dict(of_input.artifacts) for name, of_input in feedback.items() if of_input.artifacts},
        "error": evaluation.error,
        "output": evaluation.output,
        "code": code,
        "island": sample.prompt.island,
        "parents": list(sample.prompt.parents),
        "duplicate_of": evaluation.duplicate_of,
        "model": sample.model,
        "finish_reason": sample.finish_reason,
        "tokens": sample.tokens,
        "seconds": evaluation.seconds,
        "sandbox": evaluation.sandbox,
        "prompt": sample.prompt.text,
        "sample": sample.text,
    }


def _print(facts: dict[str, object], evaluation: "Evaluation", code: str | None) -> None:
    screen, sample = options.console(), evaluation.sample
    for name, value in facts.items():
        if name not in ("code", "prompt", "sample") and value not in ("", None, {}):
            options.print_text(f"{name}: {value}")
    if code:
        screen.print()
        options.print_code(code)
    if sample.prompt.index >= 0:
        screen.rule("prompt")
        options.print_text(sample.prompt.text)
        screen.rule("answer")
        options.print_text(sample.text)
