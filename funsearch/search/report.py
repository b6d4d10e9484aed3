"""Scores programs of a run on the held-out inputs, and compares them with the problem's baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from funsearch.core.code.reading import read_file
from funsearch.core.evaluator import Evaluator, Outcome, reduce_scores
from funsearch.core.ports import RunStorage, Sandbox
from funsearch.core.records import Evaluation, Function, HeldOut, RunRecord
from funsearch.errors import ProblemError
from funsearch.sandbox import open_sandbox
from funsearch.search.runs import restored
from funsearch.text import quoted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a report."""

    name: str
    function: Function
    scores: Mapping[str, float]
    """By input, without the inputs on which the program got no score."""
    score: float | None
    heldout: HeldOut | None = None
    """None when it has not been scored on held-out inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A program that was scored again in a fresh sandbox."""

    program: int
    score: float | None
    """The recorded score."""
    again: float | None
    """The new score."""
    stable: bool
    """Whether the new scores equal the recorded ones. If not, the program depends on chance, on the clock or on earlier
    calls."""
    error: str
    heldout: Mapping[str, float] | None
    """New scores on the held-out inputs; None if the problem has none."""


class Scorer:
    """Scores programs of a run again in a fresh sandbox, on the run's, the held-out or the validation inputs."""

    def __init__(self, record: RunRecord) -> None:
        """Loads the run's problem. The sandbox is opened when the first program is scored.

        Raises:
            ProblemError: the recorded problem does not load.
        """
        self._run = record.name
        settings, self.problem = restored(record)
        self._limits = settings.limits.override(self.problem.evaluator.limits)
        self._settings = settings.sandbox
        self._opened: Sandbox | None = None

    def baselines(self, *, heldout: bool) -> list[Entry]:
        """Returns the problem's baselines, scored on the run's inputs and, if `heldout`, on the held-out inputs."""
        return [self._baseline(name, text, heldout) for name, text in self.problem.evaluator.baselines.items()]

    def select(self, functions: Mapping[int, Function]) -> list[int]:
        """Returns the ids of the functions ranked by their score on the problem's validation inputs, best first."""
        inputs = self._declared("selection", self.problem.evaluator.selection)
        scores = {id: self._outcome(function, inputs).score for id, function in functions.items()}
        ranks = {id: -math.inf if score is None else score for id, score in scores.items()}
        return sorted(ranks, key=ranks.__getitem__, reverse=True)

    def entries(
        self, found: Mapping[int, Evaluation], storage: RunStorage, *, heldout: bool | None = None
    ) -> dict[int, Entry]:
        """Returns an entry for each evaluation with a function, by id.

        Args:
            found: the evaluations by id.
            storage: of the run; missing scores on held-out inputs are computed and written to it.
            heldout: whether to include the scores on held-out inputs; by default, if the problem has held-out inputs.
        """
        functions = {id: evaluation.function for id, evaluation in found.items() if evaluation.function is not None}
        results: dict[int, HeldOut] = {}
        if self.problem.heldout if heldout is None else heldout:
            results = storage.heldout(self._run, list(functions))
            new = {id: self._heldout(function) for id, function in functions.items() if id not in results}
            if new:
                storage.add_heldout(self._run, new)
            results |= new
        return {
            id: Entry(
                "first program" if id == 0 else str(id), function, found[id].scores, found[id].score, results.get(id)
            )
            for id, function in functions.items()
        }

    def heldout_score(self, result: HeldOut | None) -> float | None:
        """Returns the scores on the held-out inputs reduced to one number; None if there are none."""
        names = list(self.problem.heldout)
        return reduce_scores(result.scores, names, self.problem.evaluator.reduction) if result else None

    def gain(self, first: Entry, entry: Entry) -> str:
        """Returns a sentence on the gain of an entry over the first program, on the run's and the held-out inputs."""
        if first is entry or first.score is None or entry.score is None:
            return "No program is better than the first program."
        gain = f"Program {entry.name}: {entry.score - first.score:+.4g} against the first program on the run's inputs"
        before, after = self.heldout_score(first.heldout), self.heldout_score(entry.heldout)
        if before is not None and after is not None:
            return f"{gain}, {after - before:+.4g} on held-out inputs{'' if after > before else ': not better there'}."
        if entry.heldout is None:
            return f"{gain}."
        return f"{gain}; on held-out inputs {entry.heldout.status}: {quoted(entry.heldout.error)}"

    def again(self, function: Function, *, heldout: bool = False) -> Outcome:
        """Returns the outcome on the run's or the held-out inputs, from a sandbox worker that has run no candidate."""
        self._sandbox().refresh()
        return self._outcome(function, self.problem.heldout if heldout else self.problem.inputs)

    def verify(self, id: int, evaluation: Evaluation) -> Verification:
        """Scores a recorded program again on the run's inputs and the held-out inputs."""
        function = evaluation.function
        assert function is not None
        again = self.again(function)
        heldout = self.again(function, heldout=True).scores if self.problem.heldout else None
        stable = dict(again.scores) == dict(evaluation.scores)
        return Verification(
            program=id, score=evaluation.score, again=again.score, stable=stable, error=again.error, heldout=heldout
        )

    def draw(self, function: Function, on: str | None) -> "Figure":
        """Returns a picture of the function's solution.

        Args:
            function: to run.
            on: an input of the run or a held-out input; None: the last input of the run.

        Raises:
            PictureError: the problem has no pictures, there is no such input, or the solution is not valid.
        """
        name = on or list(self.problem.inputs)[-1]
        return self._evaluator(self.problem.all_inputs).draw(function, name)

    def close(self) -> None:
        """Closes the sandbox."""
        if self._opened is not None:
            self._opened.close()

    def _sandbox(self) -> Sandbox:
        """Returns the sandbox, opened at the level of the run.

        Raises:
            SandboxError: candidates cannot be confined as they were in the run.
        """
        if self._opened is None:
            self._opened = open_sandbox(self._settings.level, unsafe=self._settings.unsafe)
        return self._opened

    def _baseline(self, name: str, text: str, heldout: bool) -> Entry:
        function = read_file(self.problem.specification, text)
        outcome = self._outcome(function, self.problem.inputs)
        return Entry(name, function, outcome.scores, outcome.score, self._heldout(function) if heldout else None)

    def _heldout(self, function: Function) -> HeldOut:
        outcome = self._outcome(function, self._declared("heldout", self.problem.heldout))
        return HeldOut(outcome.status, outcome.scores, outcome.error)

    def _declared(self, name: str, inputs: Mapping[str, object]) -> Mapping[str, object]:
        if not inputs:
            raise ProblemError(
                f"The problem {self.problem.name} declares no {name} inputs: set `{name}` in its evaluator."
            )
        return inputs

    def _outcome(self, function: Function, inputs: Mapping[str, object]) -> Outcome:
        return self._evaluator(inputs).score(function)

    def _evaluator(self, inputs: Mapping[str, object]) -> Evaluator:
        problem, sandbox = self.problem, self._sandbox()
        return problem.scorer(sandbox, inputs=inputs, limits=self._limits)


def standing(others: Sequence[Entry], entry: Entry) -> list[str]:
    """Returns a sentence for each of the others on the held-out inputs on which the entry is better, and not better."""
    own_scores = entry.heldout.scores if entry.heldout else {}
    sentences = []
    for other in others:
        scores = other.heldout.scores if other.heldout else {}
        gains = {name: own_scores[name] - scores[name] for name in own_scores if name in scores}
        better = [f"{name} ({gain:+.3g})" for name, gain in gains.items() if gain > 0]
        rest = [f"{name} ({gain:+.3g})" for name, gain in gains.items() if gain <= 0]
        parts = [f"better on {', '.join(better)}"] * bool(better) + [f"not better on {', '.join(rest)}"] * bool(rest)
        if parts:
            sentences.append(f"Held out, against {other.name}: {'; '.join(parts)}.")
    return sentences
