"""The evaluator (FunSearch, Methods, "Evaluation"): runs a function on every input and keeps the scores.

Knows nothing about how a candidate is confined, nor about duplicates, islands and clocks.
"""

import difflib
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from funsearch.core.code.identity import key
from funsearch.core.code.reading import UnreadableCompletion, read_completion
from funsearch.core.feedback import read_result
from funsearch.core.ports import CandidateFailure, CandidateProcess, Sandbox
from funsearch.core.problem import Candidate, InvalidSolution, ProblemEvaluator
from funsearch.core.records import Evaluation, Feedback, Function, Limits, Sample, Status
from funsearch.core.specification import Specification
from funsearch.errors import PictureError, ProblemError, SandboxError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a function. Which scores there are is told at `Evaluation`."""

    status: Status
    scores: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    """The scores reduced to one number; None unless `status` is OK."""
    error: str = ""
    """What went wrong first, and on which input if there are several."""
    output: str = ""
    seconds: float = 0.0
    """Wall-clock time of the candidate's processes."""
    stage: int = 1
    """1 and how many of the problem's thresholds it passed."""
    feedback: Mapping[str, Feedback] = field(default_factory=dict)

    def of(self, sample: Sample, function: Function, key: str, sandbox: str) -> Evaluation:
        """Returns it as the evaluation of a sample, from which the function was read."""
        return Evaluation(
            sample,
            self.status,
            function,
            key,
            self.scores,
            self.error,
            self.output,
            self.seconds,
            sandbox,
            score=self.score,
            stage=self.stage,
            feedback=self.feedback,
        )


class Evaluator:
    """Scores functions, one after the other, in one sandbox."""

    def __init__(
        self,
        specification: Specification,
        problem: ProblemEvaluator,
        sandbox: Sandbox,
        *,
        inputs: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Takes the problem's own inputs and limits where none are given.

        Raises:
            ProblemError: there is no input to score anything on.
        """
        self.specification = specification
        self._problem = problem
        self._sandbox = sandbox
        self._inputs = dict(problem.inputs if inputs is None else inputs)
        self._limits = limits or problem.limits
        # After the last input there is nothing left to be spared.
        self._thresholds = {
            name: problem.thresholds[name] for name in list(self._inputs)[:-1] if name in problem.thresholds
        }
        if not self._inputs:
            raise ProblemError(f"{type(problem).__name__} has no inputs: set `inputs` in it, or give some.")

    def evaluate(self, sample: Sample) -> Evaluation:
        """Returns the outcome on a completion, read and scored.

        Raises:
            SandboxError: candidates cannot be run at all.
        """
        try:
            function = read_completion(self.specification, sample.text, sample.prompt.version)
        except UnreadableCompletion as unreadable:
            return Evaluation(sample, Status.COMPILE_ERROR, None, error=str(unreadable))
        return self.score(function).of(sample, function, key(function), self._sandbox.level)

    def score(self, function: Function) -> Outcome:
        """Returns the outcome on a function. One process serves all inputs, in their order.

        The first failure ends it (`partial = "reject"`), or a fresh process goes on with the next input (`"keep"`). A
        score below its input's threshold ends it in any case.

        Raises:
            SandboxError: candidates cannot be run at all.
        """
        source = self.specification.program(function)
        scores: dict[str, float] = {}
        feedback: dict[str, Feedback] = {}
        failure: CandidateFailure | None = None
        output, seconds = "", 0.0
        left = list(self._inputs)
        while left and (failure is None or self._problem.partial == "keep"):
            try:
                process = self._sandbox.start(source, self._limits)
            except CandidateFailure as error:
                failure = failure or error
                break
            with process:
                stopped = self._score_inputs(process, left, scores, feedback)
                report = process.close()
            output += report.output
            seconds += report.seconds
            if report.too_much_output and stopped is None:
                stopped = CandidateFailure(Status.OUTPUT_LIMIT, f"more than {self._limits.output_bytes} bytes")
            failure = failure or stopped
        output = output[: self._limits.output_bytes]
        stage = 1 + sum(scores.get(name, -math.inf) >= least for name, least in self._thresholds.items())
        if failure is None:
            score = reduce_scores(scores, list(self._inputs), self._problem.reduction)
            return Outcome(Status.OK, scores, score, "", output, seconds, stage, feedback)
        kept = scores if self._problem.partial == "keep" or failure.status is Status.BELOW_THRESHOLD else {}
        return Outcome(failure.status, kept, None, failure.detail, output, seconds, stage, feedback)

    def score_confirmed(self, function: Function, best: float | None) -> Outcome:
        """Returns the outcome on a function; one that would be better than the best must be earned twice.

        Raises:
            SandboxError: candidates cannot be run at all.
        """
        outcome = self.score(function)
        if outcome.score is None or (best is not None and outcome.score <= best):
            return outcome
        return self.confirm(function, outcome)

    def confirm(self, function: Function, outcome: Outcome) -> Outcome:
        """Returns the outcome if a fresh worker comes to it again, else one that sets the program aside as unstable.

        Raises:
            SandboxError: candidates cannot be run at all.
        """
        self._sandbox.refresh()
        again = self.score(function)
        if (again.status, again.scores) == (outcome.status, outcome.scores):
            return outcome
        second = f"{again.score:g}" if again.score is not None else f"{again.status} ({again.error})"
        detail = f"unstable: {outcome.score:g} at first, {second} in a fresh worker"
        return replace(outcome, status=Status.BAD_SCORE, scores={}, score=None, error=detail)

    def draw(self, function: Function, name: str) -> "Figure":
        """Returns the problem's picture of what a function builds for the input `name`.

        Raises:
            PictureError: the problem does not draw, there is no such input, or there is nothing valid to be drawn.
            SandboxError: candidates cannot be run at all.
        """
        problem = type(self._problem).__name__
        if not draws(self._problem):
            raise PictureError(
                f"The problem has no pictures, as its evaluator {problem} has no `draw`: write a method "
                "`draw(self, candidate, value)` in the evaluator's file. See docs/problems.md."
            )
        if name not in self._inputs:
            near = difflib.get_close_matches(name, self._inputs, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(self._inputs)}."
            raise PictureError(f"There is no input {name}: {remedy}")
        try:
            with self._sandbox.start(self.specification.program(function), self._limits) as process:
                process.begin_input()
                figure = self._guarded(lambda: self._problem.draw(Candidate(process), self._inputs[name]))
        except CandidateFailure as failure:
            missing = failure.__cause__
            if isinstance(missing, ModuleNotFoundError) and (missing.name or "").startswith("matplotlib"):
                raise PictureError("Pictures need matplotlib: pip install 'funsearch[plot]'.") from missing
            raise PictureError(f"Cannot draw what the program builds for {name}: {failure}.") from failure
        if not hasattr(figure, "savefig"):
            raise PictureError(f"`draw` of {problem} returned {figure!r:.80}: return a matplotlib.figure.Figure.")
        return figure

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox.close()

    def _score_inputs(
        self, process: CandidateProcess, left: list[str], scores: dict[str, float], feedback: dict[str, Feedback]
    ) -> CandidateFailure | None:
        """Scores inputs until one fails; takes what was tried, and what shall not be tried, out of `left`."""
        while left:
            name = left.pop(0)
            process.begin_input()
            try:
                scores[name], said = self._score_input(Candidate(process), self._inputs[name])
                if said is not None:
                    feedback[name] = said
                if name in self._thresholds and scores[name] < self._thresholds[name]:
                    detail = f"{scores[name]:g} is less than {self._thresholds[name]:g}"
                    raise CandidateFailure(Status.BELOW_THRESHOLD, detail)
            except CandidateFailure as error:
                if name in self._thresholds:
                    left.clear()
                several = len(self._inputs) > 1
                return CandidateFailure(error.status, f"{name}: {error.detail}") if several else error
        return None

    def _score_input(self, candidate: Candidate, value: Any) -> tuple[float, Feedback | None]:
        """Returns the score on one input, and what the evaluator said beside it.

        Raises:
            CandidateFailure: there is none, for whatever reason but a broken sandbox.
        """
        return self._guarded(lambda: read_result(self._problem.evaluate(candidate, value)))

    def _guarded(self, work: Callable[[], T]) -> T:
        """Returns what a method of the problem, at work with a candidate, comes to.

        Raises:
            CandidateFailure: it came to nothing, for whatever reason but a broken sandbox.
        """
        try:
            return work()
        except (CandidateFailure, SandboxError):
            raise
        except InvalidSolution as error:
            raise CandidateFailure(Status.INVALID_SOLUTION, str(error)) from error
        # The problem's own code met something it was not written for; a candidate may have provoked it.
        except Exception as error:
            name = type(self._problem).__name__
            detail = f"the evaluator {name} raised {type(error).__name__}: {error}{self._where(error.__traceback__)}"
            raise CandidateFailure(Status.RUNTIME_ERROR, detail) from error

    def _where(self, trace: TracebackType | None) -> str:
        """Returns the deepest line of the evaluator's own file in a traceback, in words, or nothing."""
        file, line = type(self._problem).evaluate.__code__.co_filename, 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == file:
                line = trace.tb_lineno
            trace = trace.tb_next
        return f" (line {line} of the evaluator)" if line else ""


def draws(problem: ProblemEvaluator) -> bool:
    """Returns whether a problem has pictures of what programs build."""
    return type(problem).draw is not ProblemEvaluator.draw


def reduce_scores(
    scores: Mapping[str, float], names: Sequence[str], reduction: Literal["last", "mean"]
) -> float | None:
    """Returns one score for a program: that of the last of the inputs `names`, or the mean over all of them.

    None when an input that it depends on has no score.
    """
    if reduction == "last":
        return scores.get(names[-1])
    if any(name not in scores for name in names):
        return None
    return float(statistics.mean(scores[name] for name in names))  # Exact: neither order nor size of the sum matters.
