"""`funsearch show`: one program of a run and how it came about."""

from pathlib import Path

import click

from funsearch.cli import options


@click.command(name="show")
@click.argument("run")
@click.argument("program", type=click.IntRange(min=0))
@options.image_options
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, program: int, image: Path | None, on: str | None, db: str, as_json: bool) -> None:
    """Shows PROGRAM of RUN: code, scores per input and on held-out ones, parents, prompt and the model's answer.

    Every sample of a run has a program number, failed ones too. 0 is the first program. With --image what it builds is
    drawn as well, if the problem has pictures.

    \b
    funsearch show bin_packing-1 17
    funsearch show cap_set-1 0 --image set.svg --on n6
    """
    from funsearch.core.records import Status, joined_notes
    from funsearch.errors import PictureError
    from funsearch.search.report import Scorer
    from funsearch.storage import open_storage

    options.check_image(image, on)
    storage = open_storage(db, create=False)
    record = storage.run(run)
    evaluation = storage.program(run, program)
    scorer = Scorer(record)
    sample, function = evaluation.sample, evaluation.function
    code = scorer.problem.specification.function_source(function) if function else None
    scored = {program: evaluation} if evaluation.status is Status.OK else {}
    heldout = {id: entry.heldout for id, entry in scorer.entries(scored, storage).items()}.get(program)
    if image is not None:
        if function is None:
            raise PictureError(f"Nothing to draw: program {program} of {run} is {evaluation.status}.")
        options.write_image(scorer.draw(function, on), image)
    scorer.close()
    facts = {
        "program": program,
        "status": evaluation.status.value,
        "score": evaluation.score,
        "scores": dict(evaluation.scores),
        "heldout": dict(heldout.scores) if heldout else None,
        "stage": evaluation.stage,
        "notes": joined_notes(evaluation.feedback),
        "artifacts": {name: dict(said.artifacts) for name, said in evaluation.feedback.items() if said.artifacts},
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
    if as_json:
        options.print_json(facts)
        return
    screen = options.console()
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
