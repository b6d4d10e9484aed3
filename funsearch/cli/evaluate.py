"""`funsearch evaluate`: scores program files as a run would."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from funsearch.cli import options

if TYPE_CHECKING:
    from funsearch.core.evaluator import Evaluator


@dataclass(slots=True, kw_only=True)
class FileResult:
    """Evaluation of one file; its fields are what `--json` prints."""

    file: str
    status: str
    score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    error: str = ""
    output: str = ""
    stage: int = 1
    notes: dict[str, str] = field(default_factory=dict)
    """The evaluator's notes by input."""
    artifacts: dict[str, dict[str, object]] = field(default_factory=dict)
    """The evaluator's artifacts by input."""
    seconds: float = 0.0
    sandbox: str = ""


@click.command(name="evaluate", short_help="Score program files for a problem.")
@click.argument("problem")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.evaluator_option
@options.input_option
@click.option(
    "--timeout",
    "limits__seconds",
    metavar="S",
    type=click.FloatRange(min=0, min_open=True),
    help="Wall-clock limit for each input, in seconds.",
)
@click.option(
    "--memory",
    "limits__memory_mb",
    metavar="MB",
    type=click.IntRange(min=1),
    help="Memory limit in MB, in addition to the interpreter's own memory.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set another limit, e.g. cpu_seconds=20. Can be repeated.",
)
@options.sandbox_options
@options.json_option
@options.verbosity
def command(
    problem: str,
    files: tuple[Path, ...],
    evaluator: Path | None,
    inputs: tuple[str, ...],
    limits: tuple[str, ...],
    as_json: bool,
    **overrides: object,
) -> None:
    """Scores FILES as candidates for PROBLEM, in the sandbox, as a run would.

    A file holds the evolved function, with the imports, constants and helper functions that it needs above it. Exits
    with status 0 when every file was evaluated, whatever the result.

    \b
    funsearch evaluate cap_set mine.py --input n=4
    funsearch evaluate bin_packing a.py b.py --timeout 10 --json
    """
    from funsearch.loading import load_problem
    from funsearch.sandbox import open_sandbox
    from funsearch.settings.search import Settings

    loaded = load_problem(problem, evaluator, inputs)
    settings = Settings.load(None, [f"limits.{limit}" for limit in limits], **overrides)
    texts = {file: _read(file) for file in files}
    box = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)
    scorer = loaded.scorer(box, limits=settings.limits.override(loaded.evaluator.limits))
    for file, text in texts.items():
        started = time.perf_counter()
        result = _score(scorer, str(file), text)
        result.seconds, result.sandbox = round(time.perf_counter() - started, 6), box.level
        if as_json:
            options.print_json(asdict(result))
        else:
            _print(result)
    box.close()


def _read(file: Path) -> str:
    from funsearch.errors import ProblemError

    try:
        return file.read_bytes().decode("utf-8", errors="surrogateescape")
    except OSError as error:
        raise ProblemError(f"Cannot read {file}: {error.strerror}.") from None


def _score(scorer: "Evaluator", file: str, text: str) -> FileResult:
    from funsearch.core.code.reading import UnreadableCompletion, read_file
    from funsearch.core.records import Status

    try:
        function = read_file(scorer.specification, text)
    except UnreadableCompletion as unreadable:
        return FileResult(file=file, status=Status.COMPILE_ERROR.value, error=str(unreadable))
    outcome = scorer.score(function)
    return FileResult(
        file=file,
        status=outcome.status.value,
        score=outcome.score,
        scores=dict(outcome.scores),
        error=outcome.error,
        output=outcome.output,
        stage=outcome.stage,
        notes={name: feedback.notes for name, feedback in outcome.feedback.items() if feedback.notes},
        artifacts={name: dict(feedback.artifacts) for name, feedback in outcome.feedback.items() if feedback.artifacts},
    )


def _print(result: FileResult) -> None:
    score = "" if result.score is None else f" {result.score:.6g}"
    click.echo(f"{result.file}: {result.status}{score} ({result.seconds:.3f} s, sandbox {result.sandbox})")
    if len(result.scores) > 1:
        click.echo("  " + ", ".join(f"{name} {value:.6g}" for name, value in result.scores.items()))
    if result.error:
        options.print_text(f"  {result.error.strip()}")
    for name, notes in result.notes.items():
        options.print_text(f"  {name}: {notes}")
