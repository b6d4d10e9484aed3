"""`funsearch export`: writes a run as files that can be used without its database."""

import itertools
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

from funsearch.cli import options
from funsearch.errors import FunsearchError

if TYPE_CHECKING:
    from funsearch.core.ports import RunReader
    from funsearch.core.records import Evaluation, RunRecord
    from funsearch.search.report import Entry

ROWS = 10_000
"""Number of samples held in memory at the same time."""


@click.command(name="export", short_help="Write a run to a folder of files.")
@click.argument("run")
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write. [default: RUN]",
)
@click.option(
    "--top", metavar="K", type=click.IntRange(min=1), default=10, show_default=True, help="Number of programs to write."
)
@click.option("--parquet", is_flag=True, help="Also write the samples as Parquet; needs pyarrow.")
@options.db_option
@options.verbosity
def command(run: str, output: Path | None, top: int, parquet: bool, db: str) -> None:
    """Writes RUN to a folder: the best programs as Python files, the problem, all samples, and a report.

    The report shows how to score the programs again with `funsearch evaluate`. samples.jsonl has one sample per line,
    with the number of its prompt, its status and its scores. --sampler scripted:samples.jsonl replays the samples.

    \b
    funsearch export bin_packing-1 -o results
    """
    from funsearch.search.report import Scorer
    from funsearch.storage import open_storage

    if parquet:
        _arrow()  # fails before anything is written if pyarrow is missing
    storage = open_storage(db, create=False)
    record = storage.run(run)
    folder = output or Path(run.replace("/", "_"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        reason = "is not empty" if folder.is_dir() else "is not a folder"
        raise FunsearchError(f"{folder} exists and {reason}: name another folder with -o.")
    scorer = Scorer(record)
    best = dict(storage.best(run, top))
    entries = scorer.entries({0: storage.program(run, 0), **best}, storage) if best else {}
    scorer.close()
    source = scorer.problem.specification.function_source
    try:
        (folder / "programs").mkdir(parents=True, exist_ok=True)
        inputs = _write_problem(folder, record)
        files = {}
        for rank, id in enumerate(best, start=1):
            files[id] = folder / "programs" / f"{rank:02d}_program_{id}.py"
            files[id].write_text(_heading(run, id, best[id]) + source(entries[id].function), encoding="utf-8")
        count = _write_samples(folder / "samples.jsonl", storage, run)
        if parquet:
            _write_parquet(folder / "samples.jsonl", folder / "samples.parquet")
        report = _report(record, count, entries, best, files, inputs)
        if best:
            report += f"\n{scorer.gain(entries[0], entries[next(iter(best))])}\n"
        report += _picture(folder, storage, run)
        (folder / "report.md").write_text(report, encoding="utf-8")
    except OSError as error:
        raise FunsearchError(f"Cannot write {error.filename or folder}: {error.strerror}.") from None
    click.echo(f"wrote {folder}: {len(best)} programs, {count} samples and report.md")


def _heading(run: str, id: int, evaluation: "Evaluation") -> str:
    model = " ".join(evaluation.sample.model.split())  # an endpoint may report any text
    return f"# Program {id} of the run {run}: score {evaluation.score:.10g}, by {model}.\n\n"


def _write_problem(folder: Path, record: "RunRecord") -> list[str]:
    """Writes the run's problem and inputs; returns the arguments that name them for `funsearch evaluate`."""
    from funsearch.settings.search import Settings

    settings, inputs = Settings.restored(record.settings)
    (folder / f"{record.problem}.py").write_text(record.specification, encoding="utf-8")
    arguments = [f"{record.problem}.py"]
    if record.evaluator:
        (folder / f"{record.problem}_evaluator.py").write_text(record.evaluator, encoding="utf-8")
    for text in inputs:
        value = text.text
        if text.from_file:
            file = folder / "inputs" / text.name.replace("/", "_")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.text, encoding="utf-8")
            value = f"@{file.relative_to(folder)}"
        arguments += ["--input", f"{text.name}={value}"]
    for name, limit in settings.limits.model_dump(exclude_none=True).items():
        arguments += ["--limit", f"{name}={limit!r}"]
    arguments += ["--sandbox", settings.sandbox.level] if settings.sandbox.level != "auto" else []
    return [*arguments, "--unsafe-no-sandbox"] if settings.sandbox.unsafe else arguments


def _write_samples(file: Path, storage: "RunReader", run: str) -> int:
    """Writes the samples that have been evaluated, in the order of their evaluations; returns how many."""
    count = 0
    with file.open("w", encoding="utf-8") as lines:
        for sample in _samples(storage, run):
            lines.write(json.dumps(sample) + "\n")
            count += 1
    return count


def _samples(storage: "RunReader", run: str) -> Iterator[dict[str, object]]:
    for id, evaluation in enumerate(storage.evaluations(run)):
        sample = evaluation.sample
        if sample.prompt.index >= 0:
            yield {
                "program": id,
                "prompt": sample.prompt.index,
                "sample": sample.index,
                "island": sample.prompt.island,
                "parents": list(sample.prompt.parents),
                "model": sample.model,
                "finish_reason": sample.finish_reason,
                "tokens": sample.tokens,
                "status": evaluation.status.value,
                "score": evaluation.score,
                "scores": dict(evaluation.scores),
                "duplicate_of": evaluation.duplicate_of,
                "seconds": evaluation.seconds,
                "sandbox": evaluation.sandbox,
                "text": sample.text,
            }


def _arrow() -> tuple[ModuleType, ModuleType]:
    """Returns `pyarrow` and `pyarrow.parquet`.

    Raises:
        FunsearchError: they are not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise FunsearchError("Parquet needs pyarrow: pip install pyarrow.") from None
    return pyarrow, parquet


def _write_parquet(lines: Path, file: Path) -> None:
    """Writes the same samples as a table, with the scores as JSON, since inputs may have any name."""
    arrow, parquet = _arrow()
    schema = _schema(arrow)
    with lines.open(encoding="utf-8") as read, parquet.ParquetWriter(file, schema) as writer:
        samples = map(json.loads, read)
        while rows := [
            {**row, "scores": json.dumps(row["scores"]), "text": row["text"].encode("utf-8", "replace").decode()}
            for row in itertools.islice(samples, ROWS)
        ]:
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))


def _schema(arrow: ModuleType) -> object:
    """Returns the columns; samples without a score or a parent would not tell their types."""
    whole, number, text = arrow.int64(), arrow.float64(), arrow.string()
    columns = [("program", whole), ("prompt", whole), ("sample", whole), ("island", whole)]
    columns += [("parents", arrow.list_(whole)), ("model", text), ("finish_reason", text), ("tokens", whole)]
    columns += [("status", text), ("score", number), ("scores", text), ("duplicate_of", whole), ("seconds", number)]
    return arrow.schema([*columns, ("sandbox", text), ("text", text)])


def _report(
    record: "RunRecord",
    samples: int,
    entries: "dict[int, Entry]",
    best: "dict[int, Evaluation]",
    files: dict[int, Path],
    arguments: list[str],
) -> str:
    """Returns the report without its picture."""
    lines = [f"# {record.name}", "", f"{samples:,} samples on `{record.problem}`, sandbox {record.sandbox}.", ""]
    names = list(dict.fromkeys(name for entry in entries.values() for name in entry.scores))
    heldout_names = list(dict.fromkeys(n for entry in entries.values() if entry.heldout for n in entry.heldout.scores))
    lines.append(
        f"| program | score | {''.join(f'{n} | ' for n in names)}{''.join(f'{n} (held out) | ' for n in heldout_names)}"
    )
    lines.append("|---|" + "---|" * (1 + len(names) + len(heldout_names)))
    for id, entry in entries.items():
        heldout = entry.heldout.scores if entry.heldout else {}
        values = [entry.score, *(entry.scores.get(n) for n in names), *(heldout.get(n) for n in heldout_names)]
        label = f"[{entry.name}](programs/{files[id].name})" if id in files else entry.name
        lines.append(f"| {label} | " + " | ".join("-" if v is None else f"{v:.6g}" for v in values) + " |")
    if best:
        command = shlex.join(["funsearch", "evaluate", *arguments, f"programs/{next(iter(files.values())).name}"])
        lines += ["", "To score the best program again, run this command in this folder:", "", "```", command, "```"]
    return "\n".join(lines) + "\n"


def _picture(folder: Path, storage: "RunReader", run: str) -> str:
    """Draws the run into the folder and returns the lines of the report that show it; none without matplotlib."""
    import importlib.util

    from funsearch.cli.plot import write
    from funsearch.search.plotting import plot

    if importlib.util.find_spec("matplotlib") is None:
        return ""
    write(plot(run, list(storage.points(run)), storage.resets(run)), folder / "plot.svg", run)
    return "\n![Scores over samples](plot.svg)\n"
