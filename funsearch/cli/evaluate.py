"""`funsearch evaluate`: scores files as a run would."""

import time
from pathlib import Path
from typing import Any

import click

from funsearch.cli import options


@click.command(name="evaluate")
@click.argument("problem")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.evaluator_option
@options.input_option
@click.option("--timeout", metavar="S", type=click.FloatRange(min=0, min_open=True), help="Seconds for each input.")
@click.option("--memory", metavar="MB", type=click.IntRange(min=1), help="Memory beyond the interpreter's own.")
@click.option(
    "--limit", "limits", multiple=True, metavar="KEY=VALUE", help="Another limit of a run, e.g. cpu_seconds=20."
)
@options.sandbox_option
@options.unsafe_option
@options.json_option
@options.verbosity
def command(
    problem: str,
    files: tuple[Path, ...],
    evaluator: Path | None,
    inputs: tuple[str, ...],
    timeout: float | None,
    memory: int | None,
    limits: tuple[str, ...],
    sandbox: str | None,
    unsafe: bool | None,
    as_json: bool,
) -> None:
    """Scores FILES as candidates for PROBLEM, in the sandbox, as a run would.

    A file holds the evolved function, with whatever imports, constants and helpers it needs above it. Exits with 0
    when every file was evaluated, whatever its status.
    """
    from funsearch.loading import load_problem
    from funsearch.sandbox import open_sandbox
    from funsearch.settings.search import Settings

    loaded = load_problem(problem, evaluator, inputs)
    chosen = {"limits__seconds": timeout, "limits__memory_mb": memory}
    settings = Settings.load(None, [f"limits.{one}" for one in limits], **chosen)
    texts = {file: _read(file) for file in files}
    box = open_sandbox(sandbox or "auto", unsafe=bool(unsafe))
    merged = settings.limits.override(loaded.evaluator.limits)
    scorer = loaded.scorer(box, limits=merged)
    for file, text in texts.items():
        started = time.perf_counter()
        result = _score(scorer, text)
        result |= {"seconds": round(time.perf_counter() - started, 6), "sandbox": box.level}
        if as_json:
            options.print_json({"file": str(file), **result})
        else:
            _print(file, result)
    box.close()


def _read(file: Path) -> str:
    from funsearch.errors import ProblemError

    try:
        return file.read_bytes().decode("utf-8", errors="surrogateescape")
    except OSError as error:
        raise ProblemError(f"Cannot read {file}: {error.strerror}.") from None


def _score(scorer: Any, text: str) -> dict[str, Any]:
    from funsearch.core.code.reading import UnreadableCompletion, read_file
    from funsearch.core.records import Status

    try:
        function = read_file(scorer.specification, text)
    except UnreadableCompletion as unreadable:
        status, error = Status.COMPILE_ERROR, str(unreadable)
        return {"status": status.value, "score": None, "scores": {}, "error": error, "output": ""}
    outcome = scorer.score(function)
    return {
        "status": outcome.status.value,
        "score": outcome.score,
        "scores": dict(outcome.scores),
        "error": outcome.error,
        "output": outcome.output,
        "stage": outcome.stage,
        "notes": {name: said.notes for name, said in outcome.feedback.items() if said.notes},
        "artifacts": {name: dict(said.artifacts) for name, said in outcome.feedback.items() if said.artifacts},
    }


def _print(file: Path, result: dict[str, Any]) -> None:
    score = "" if result["score"] is None else f" {result['score']:.6g}"
    click.echo(f"{file}: {result['status']}{score} ({result['seconds']:.3f} s, sandbox {result['sandbox']})")
    if len(result["scores"]) > 1:
        click.echo("  " + ", ".join(f"{name} {value:.6g}" for name, value in result["scores"].items()))
    if result["error"]:
        options.print_text(f"  {result['error'].strip()}")
    for name, notes in result.get("notes", {}).items():
        options.print_text(f"  {name}: {notes}")
