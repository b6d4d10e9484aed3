"""Scores programs of a run on inputs that the search never saw, and the problem's baselines beside them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    """One row of a report. `scores` misses the inputs on which the program got no score."""

    name: str
    function: Function
    scores: Mapping[str, float]
    score: float | None
    heldout: HeldOut | None = None
    """None when it has not been scored on held-out inputs."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A program that was scored again in a fresh sandbox."""

    program: int
    score: float | None
    """As recorded."""
    again: float | None
    stable: bool
    """Whether it has the recorded scores again. If not, it depends on chance, on the clock, or on earlier calls."""
    error: str
    heldout: Mapping[str, float] | None
    """None if the problem has no held-out inputs."""


class Scorer:
    """Scores programs of a run again, in a fresh sandbox, on inputs of one's choice."""

    def __init__(self, record: RunRecord) -> None:
        """Loads the run's problem. The sandbox is opened when something has to be scored.

        Raises:
            ProblemError: the recorded problem does not load.
        """
        self._run = record.name
        settings, self.problem = restored(record)
        self._limits = settings.limits.override(self.problem.evaluator.limits)
        self._settings = settings.sandbox
        self._opened: Sandbox | None = None

    def baselines(self, *, heldout: bool) -> list[Entry]:
        """Returns the problem's baselines, scored on the run's inputs, and on the held-out ones if asked for."""
        return [self._baseline(name, text, heldout) for name, text in self.problem.evaluator.baselines.items()]

    def select(self, functions: Mapping[int, Function]) -> list[int]:
        """Returns the ids of the functions, those first that score best on the problem's selection inputs."""
        on = self._declared("selection", self.problem.evaluator.selection)
        scores = {id: self._outcome(function, on).score for id, function in functions.items()}
        reached = {id: -math.inf if score is None else score for id, score in scores.items()}
        return sorted(reached, key=reached.__getitem__, reverse=True)

    def entries(
        self, found: Mapping[int, Evaluation], storage: RunStorage, *, heldout: bool | None = None
    ) -> dict[int, Entry]:
        """Returns the evaluations that are programs as entries, by id.

        Args:
            found: what to make entries of.
            storage: of the run; what is not known yet of how they do on held-out inputs is found out and written there.
            heldout: whether to have that in the entries; by default, if the problem has held-out inputs.
        """
        functions = {id: evaluation.function for id, evaluation in found.items() if evaluation.function is not None}
        known: dict[int, HeldOut] = {}
        if self.problem.heldout if heldout is None else heldout:
            known = storage.heldout(self._run, list(functions))
            new = {id: self._heldout(function) for id, function in functions.items() if id not in known}
            if new:
                storage.add_heldout(self._run, new)
            known |= new
        return {
            id: Entry(
                "first program" if id == 0 else str(id), function, found[id].scores, found[id].score, known.get(id)
            )
            for id, function in functions.items()
        }

    def heldout_score(self, found: HeldOut | None) -> float | None:
        """Returns the scores on the held-out inputs as one number, None if there is none."""
        names = list(self.problem.heldout)
        return reduce_scores(found.scores, names, self.problem.evaluator.reduction) if found else None

    def gain(self, first: Entry, entry: Entry) -> str:
        """Returns how much better an entry is than the first program, where it was chosen and where it was not."""
        if first is entry or first.score is None or entry.score is None:
            return "None is better than the first program."
        said = f"Program {entry.name}: {entry.score - first.score:+.4g} against the first program on the run's inputs"
        before, after = self.heldout_score(first.heldout), self.heldout_score(entry.heldout)
        if before is not None and after is not None:
            return f"{said}, {after - before:+.4g} on held-out inputs{'' if after > before else ': no better there'}."
        return (
            f"{said}; on held-out inputs {entry.heldout.status}: {quoted(entry.heldout.error)}"
            if entry.heldout
            else f"{said}."
        )

    def again(self, function: Function, *, heldout: bool = False) -> Outcome:
        """Returns the outcome in a worker that no candidate has been near, on the run's or the held-out inputs."""
        self._sandbox().refresh()
        return self._outcome(function, self.problem.heldout if heldout else self.problem.inputs)

    def verify(self, id: int, evaluation: Evaluation) -> Verification:
        """Returns how a recorded program scores again, on the run's inputs and on the held-out ones."""
        function = evaluation.function
        assert function is not None
        again = self.again(function)
        heldout = self.again(function, heldout=True).scores if self.problem.heldout else None
        stable = dict(again.scores) == dict(evaluation.scores)
        return Verification(id, evaluation.score, again.score, stable, again.error, heldout)

    def draw(self, function: Function, on: str | None) -> "Figure":
        """Returns a picture of what a function builds for an input of the run or a held-out one; else for the last.

        Raises:
            PictureError: the problem has no pictures, there is no such input, or nothing valid is built for it.
        """
        name = on or list(self.problem.inputs)[-1]
        return self._evaluator(self.problem.all_inputs).draw(function, name)

    def close(self) -> None:
        """Ends the sandbox."""
        if self._opened is not None:
            self._opened.close()

    def _sandbox(self) -> Sandbox:
        """Returns the sandbox, opened at the level of the run.

        Raises:
            SandboxError: candidates cannot be confined as they were.
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

    def _declared(self, name: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        if not inputs:
            raise ProblemError(
                f"The problem {self.problem.name} declares no {name} inputs: set `{name}` in its evaluator."
            )
        return inputs

    def _outcome(self, function: Function, on: Mapping[str, Any]) -> Outcome:
        return self._evaluator(on).score(function)

    def _evaluator(self, on: Mapping[str, Any]) -> Evaluator:
        problem, sandbox = self.problem, self._sandbox()
        return problem.scorer(sandbox, inputs=on, limits=self._limits)


def standing(others: Sequence[Entry], entry: Entry) -> list[str]:
    """Returns on which held-out inputs an entry does better than each of the others, in sentences."""
    own = entry.heldout.scores if entry.heldout else {}
    found = []
    for other in others:
        known = other.heldout.scores if other.heldout else {}
        gains = {name: own[name] - known[name] for name in own if name in known}
        better = [f"{name} ({gain:+.3g})" for name, gain in gains.items() if gain > 0]
        rest = [f"{name} ({gain:+.3g})" for name, gain in gains.items() if gain <= 0]
        said = [f"better on {', '.join(better)}"] * bool(better) + [f"no better on {', '.join(rest)}"] * bool(rest)
        if said:
            found.append(f"Held out, against {other.name}: {'; '.join(said)}.")
    return found
