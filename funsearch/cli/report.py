"""Scores programs of a run on held-out inputs, and the problem's baselines beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from funsearch.core.code import read_file
from funsearch.core.evaluator import Evaluator
from funsearch.core.records import Function, RunRecord, Status
from funsearch.errors import ProblemError
from funsearch.loading import Problem, ProblemSource, load
from funsearch.runtime.limits import merged_limits
from funsearch.runtime.settings import Settings
from funsearch.sandbox import open_sandbox


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a report. `scores` and `heldout` miss the inputs on which the program got no score."""

    name: str
    function: Function | None
    scores: Mapping[str, float]
    heldout: dict[str, float] | None = None


def score_entries(
    record: RunRecord, entries: Sequence[Entry], *, heldout: bool, baselines: bool
) -> tuple[Problem, list[Entry]]:
    """Returns the run's problem and the entries, completed; scored in fresh sandboxes.

    Raises:
        ProblemError: held-out scores are asked for and the problem has no held-out inputs.
    """
    settings, inputs = Settings.restored(record.settings)
    problem = load(ProblemSource(record.problem, record.specification, record.evaluator, inputs))
    if heldout and not problem.heldout:
        raise ProblemError(f"The problem {problem.name} declares no held-out inputs: set `heldout` in its evaluator.")
    if not heldout and not baselines:
        return problem, list(entries)
    sandbox = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)
    limits = merged_limits(problem.evaluator.limits, settings)

    def scores(function: Function, on: Mapping[str, Any]) -> dict[str, float]:
        evaluator = Evaluator(problem.specification, problem.evaluator, sandbox, inputs=on, limits=limits)
        verdict = evaluator.score(function)
        return dict(verdict.scores) if verdict.status is Status.OK else {}

    rows = list(entries)
    if baselines:
        sources = {name: read_file(problem.specification, text) for name, text in problem.evaluator.baselines.items()}
        plain = {"first program": problem.specification.first, **sources}
        rows = [Entry(name, function, scores(function, problem.inputs)) for name, function in plain.items()] + rows
    if heldout:
        rows = [replace(r, heldout=scores(r.function, problem.heldout)) if r.function else r for r in rows]
    sandbox.close()
    return problem, rows
