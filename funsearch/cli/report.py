"""Scores programs of a run on inputs that the search never saw, and the problem's baselines beside them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from funsearch.core.code import read_file
from funsearch.core.evaluator import Evaluator, Verdict
from funsearch.core.records import Function, RunRecord
from funsearch.errors import ProblemError
from funsearch.loading import ProblemSource, load
from funsearch.runtime.limits import merged_limits
from funsearch.runtime.settings import Settings
from funsearch.sandbox import open_sandbox


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a report. `scores` and `heldout` miss the inputs on which the program got no score."""

    name: str
    function: Function
    scores: Mapping[str, float]
    heldout: dict[str, float] | None = None


class Scorer:
    """Scores programs of a run again, in a fresh sandbox, on inputs of one's choice."""

    def __init__(self, record: RunRecord) -> None:
        """Loads the run's problem and opens the sandbox.

        Raises:
            ProblemError: the recorded problem does not load.
            SandboxError: candidates cannot be confined as they were.
        """
        settings, inputs = Settings.restored(record.settings)
        self.problem = load(ProblemSource(record.problem, record.specification, record.evaluator, inputs))
        self._limits = merged_limits(self.problem.evaluator.limits, settings)
        self._sandbox = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)

    def baselines(self) -> list[Entry]:
        """Returns the first program and the problem's baselines, scored on the run's inputs."""
        problem = self.problem
        sources = {name: read_file(problem.specification, text) for name, text in problem.evaluator.baselines.items()}
        functions = {"first program": problem.specification.first, **sources}
        return [
            Entry(name, function, self._verdict(function, problem.inputs).scores)
            for name, function in functions.items()
        ]

    def select(self, entries: Sequence[Entry]) -> list[Entry]:
        """Returns the entries, those first that score best on the problem's selection inputs."""
        on = self._declared("selection", self.problem.evaluator.selection)
        found = [self._verdict(entry.function, on).score for entry in entries]
        scores = [-math.inf if score is None else score for score in found]
        return [entries[i] for i in sorted(range(len(entries)), key=scores.__getitem__, reverse=True)]

    def heldout(self, entries: Sequence[Entry]) -> list[Entry]:
        """Returns the entries with their scores on the held-out inputs."""
        on = self._declared("heldout", self.problem.heldout)
        return [replace(entry, heldout=dict(self._verdict(entry.function, on).scores)) for entry in entries]

    def again(self, function: Function, *, heldout: bool = False) -> Verdict:
        """Returns the verdict of a worker that no candidate has been near, on the run's or the held-out inputs."""
        self._sandbox.refresh()
        return self._verdict(function, self.problem.heldout if heldout else self.problem.inputs)

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox.close()

    def _declared(self, name: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        if not inputs:
            raise ProblemError(
                f"The problem {self.problem.name} declares no {name} inputs: set `{name}` in its evaluator."
            )
        return inputs

    def _verdict(self, function: Function, on: Mapping[str, Any]) -> Verdict:
        problem = self.problem
        return Evaluator(problem.specification, problem.evaluator, self._sandbox, inputs=on, limits=self._limits).score(
            function
        )
