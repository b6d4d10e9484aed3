"""`funsearch show`: one program of a run and how it came about."""

import click

from funsearch.cli import options


@click.command(name="show")
@click.argument("run")
@click.argument("program", type=click.IntRange(min=0))
@options.db_option
@options.json_option
@options.verbosity
def command(run: str, program: int, db: str, as_json: bool) -> None:
    """Shows PROGRAM of RUN: code, scores per input, parents, prompt and the model's answer.

    Every sample of a run has a program number, failed ones too. 0 is the first program.
    """
    from funsearch.core.specification import Specification
    from funsearch.storage import open_storage

    storage = open_storage(db, create=False)
    record = storage.run(run)
    evaluation = storage.program(run, program)
    specification = Specification.parse(record.specification, record.problem)
    sample = evaluation.sample
    code = specification.function_source(evaluation.function) if evaluation.function else None
    facts = {
        "program": program,
        "status": evaluation.status.value,
        "score": evaluation.score,
        "scores": dict(evaluation.scores),
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
        if name not in ("code", "prompt", "sample") and value not in ("", None):
            screen.print(f"{name}: {value}", soft_wrap=True)
    if code:
        screen.print()
        options.print_code(code)
    if sample.prompt.index >= 0:
        screen.rule("prompt")
        click.echo(sample.prompt.text)
        screen.rule("answer")
        click.echo(sample.text)
