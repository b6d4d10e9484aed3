"""The evaluator (FunSearch, Methods, "Evaluation"): runs a function on every input of a problem and scores the results.

Knows nothing about how candidates are confined, nor about duplicates, islands or clocks.
"""

import difflib
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from funsearch.core.code.identity import key
from funsearch.core.code.reading import UnreadableCompletion, read_completion
from funsearch.core.feedback import read_result
from funsearch.core.ports import CandidateFailure, CandidateProcess, Sandbox
from funsearch.core.problem import Candidate, Inputs, InvalidSolution, ProblemEvaluator
from funsearch.core.records import Evaluation, Feedback, Function, Limits, Sample, Status
from funsearch.core.specification import Specification
from funsearch.errors import PictureError, ProblemError, SandboxError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of evaluating a function; an `Evaluation` without its sample, where the fields are documented."""

    status: Status
    scores: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    """The scores reduced to one number; None unless `status` is OK."""
    error: str = ""
    """The first failure, and the input it occurred on if there are several."""
    output: str = ""
    seconds: float = 0.0
    """Wall-clock time of the candidate's processes."""
    stage: int = 1
    """1 plus the number of the problem's thresholds that the function reached."""
    feedback: Mapping[str, Feedback] = field(default_factory=dict)

    def of(self, sample: Sample, function: Function, key: str, sandbox: str) -> Evaluation:
        """Returns the outcome as the evaluation of a sample, from which `function` was read."""
        return Evaluation(
            sample=sample,
            status=self.status,
            function=function,
            key=key,
            scores=self.scores,
            error=self.error,
            output=self.output,
            seconds=self.seconds,
            sandbox=sandbox,
            score=self.score,
            stage=self.stage,
            feedback=self.feedback,
        )


class Evaluator:
    """Scores functions one after another in a sandbox."""

    def __init__(
        self,
        specification: Specification,
        problem: ProblemEvaluator,
        sandbox: Sandbox,
        *,
        inputs: Inputs | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Uses the inputs and limits of the problem unless others are given.

        Raises:
            ProblemError: there are no inputs.
        """
        self.specification = specification
        self._problem = problem
        self._sandbox = sandbox
        self._inputs = dict(problem.inputs if inputs is None else inputs)
        self._limits = limits or problem.limits
        # A threshold on the last input has no effect, because no inputs follow it.
        self._thresholds = {
            name: problem.thresholds[name] for name in list(self._inputs)[:-1] if name in problem.thresholds
        }
        if not self._inputs:
            raise ProblemError(f"{type(problem).__name__} has no inputs: set its attribute `inputs`, or pass inputs.")

    def evaluate(self, sample: Sample) -> Evaluation:
        """Reads the function from a completion, scores it and returns the evaluation.

        Raises:
            SandboxError: the sandbox cannot run candidates.
        """
        try:
            function = read_completion(self.specification, sample.text, sample.prompt.version)
        except UnreadableCompletion as error:
            return Evaluation(sample=sample, status=Status.COMPILE_ERROR, function=None, error=str(error))
        return self.score(function).of(sample, function, key(function), self._sandbox.level)

    def score(self, function: Function) -> Outcome:
        """Evaluates a function on all inputs, in order and in one process, and returns the outcome.

        After the first failure, the evaluation stops (`partial = "reject"`) or continues with the next input in a
        fresh process (`partial = "keep"`). It always stops at a score below the threshold of its input.

        Raises:
            SandboxError: the sandbox cannot run candidates.
        """
        source = self.specification.program(function)
        scores: dict[str, float] = {}
        feedback: dict[str, Feedback] = {}
        failure: CandidateFailure | None = None
        output, seconds = "", 0.0
        remaining = list(self._inputs)
        while remaining and (failure is None or self._problem.partial == "keep"):
            try:
                process = self._sandbox.start(source, self._limits)
            except CandidateFailure as error:
                failure = failure or error
                break
            with process:
                process_failure = self._score_inputs(process, remaining, scores, feedback)
                report = process.close()
            output += report.output
            seconds += report.seconds
            if report.too_much_output and process_failure is None:
                process_failure = CandidateFailure(Status.OUTPUT_LIMIT, f"more than {self._limits.output_bytes} bytes")
            failure = failure or process_failure
        output = output[: self._limits.output_bytes]
        stage = 1 + sum(scores.get(name, -math.inf) >= threshold for name, threshold in self._thresholds.items())
        if failure is None:
            score = reduce_scores(scores, list(self._inputs), self._problem.reduction)
            return Outcome(
                status=Status.OK,
                scores=scores,
                score=score,
                error="",
                output=output,
                seconds=seconds,
                stage=stage,
                feedback=feedback,
            )
        if self._problem.partial != "keep" and failure.status is not Status.BELOW_THRESHOLD:
            scores = {}
        return Outcome(
            status=failure.status,
            scores=scores,
            score=None,
            error=failure.detail,
            output=output,
            seconds=seconds,
            stage=stage,
            feedback=feedback,
        )

    def score_confirmed(self, function: Function, best: float | None) -> Outcome:
        """Evaluates a function; a score above `best` is confirmed in a fresh worker (see `confirm`).

        Raises:
            SandboxError: the sandbox cannot run candidates.
        """
        outcome = self.score(function)
        if outcome.score is None or (best is not None and outcome.score <= best):
            return outcome
        return self.confirm(function, outcome)

    def confirm(self, function: Function, outcome: Outcome) -> Outcome:
        """Evaluates a function again in a fresh worker and returns `outcome` if status and scores are the same.

        Otherwise, returns an outcome with status BAD_SCORE that reports the function as unstable.

        Raises:
            SandboxError: the sandbox cannot run candidates.
        """
        self._sandbox.refresh()
        second = self.score(function)
        if (second.status, second.scores) == (outcome.status, outcome.scores):
            return outcome
        difference = f"{second.score:g}" if second.score is not None else f"{second.status} ({second.error})"
        detail = f"unstable: {outcome.score:g} at first, {difference} in a fresh worker"
        return replace(outcome, status=Status.BAD_SCORE, scores={}, score=None, error=detail)

    def draw(self, function: Function, name: str) -> "Figure":
        """Returns the problem's picture of the solution that a function builds for the input `name`.

        Raises:
            PictureError: the problem has no pictures, the input does not exist, or the solution cannot be drawn.
            SandboxError: the sandbox cannot run candidates.
        """
        problem = type(self._problem).__name__
        if not draws(self._problem):
            raise PictureError(
                f"The problem has no pictures, because its evaluator {problem} has no `draw` method: add "
                "`draw(self, candidate, value)` to it. See docs/problems.md."
            )
        if name not in self._inputs:
            matches = difflib.get_close_matches(name, self._inputs, n=1)
            remedy = f"did you mean {matches[0]}?" if matches else f"choose from {', '.join(self._inputs)}."
            raise PictureError(f"There is no input {name}: {remedy}")
        try:
            with self._sandbox.start(self.specification.program(function), self._limits) as process:
                process.begin_input()
                figure = self._guarded(lambda: self._problem.draw(Candidate(process), self._inputs[name]))
        except CandidateFailure as failure:
            cause = failure.__cause__
            if isinstance(cause, ModuleNotFoundError) and (cause.name or "").startswith("matplotlib"):
                raise PictureError("Pictures need matplotlib: pip install 'funsearch[plot]'.") from cause
            raise PictureError(f"Cannot draw what the program builds for {name}: {failure}.") from failure
        if not hasattr(figure, "savefig"):
            raise PictureError(f"`draw` of {problem} returned {figure!r:.80}: return a matplotlib.figure.Figure.")
        return figure

    def close(self) -> None:
        """Closes the sandbox."""
        self._sandbox.close()

    def _score_inputs(
        self, process: CandidateProcess, remaining: list[str], scores: dict[str, float], feedback: dict[str, Feedback]
    ) -> CandidateFailure | None:
        """Scores inputs until one fails, and returns the failure.

        Removes the inputs that were tried from `remaining`; after a failure on an input with a threshold, all inputs.
        """
        while remaining:
            name = remaining.pop(0)
            process.begin_input()
            try:
                scores[name], input_feedback = self._score_input(Candidate(process), self._inputs[name])
                if input_feedback is not None:
                    feedback[name] = input_feedback
                if name in self._thresholds and scores[name] < self._thresholds[name]:
                    detail = f"{scores[name]:g} is less than {self._thresholds[name]:g}"
                    raise CandidateFailure(Status.BELOW_THRESHOLD, detail)
            except CandidateFailure as error:
                if name in self._thresholds:
                    remaining.clear()
                if len(self._inputs) == 1:
                    return error
                return CandidateFailure(error.status, f"{name}: {error.detail}")
        return None

    def _score_input(self, candidate: Candidate, value: object) -> tuple[float, Feedback | None]:
        """Returns the score on one input, and the evaluator's feedback if there is any.

        Raises:
            CandidateFailure: there is no score, for any reason but a broken sandbox.
        """
        return self._guarded(lambda: read_result(self._problem.evaluate(candidate, value)))

    def _guarded(self, method: Callable[[], T]) -> T:
        """Calls a method of the problem that uses a candidate, and returns its result.

        Raises:
            CandidateFailure: the call failed, for any reason but a broken sandbox.
        """
        try:
            return method()
        except (CandidateFailure, SandboxError):
            raise
        except InvalidSolution as error:
            raise CandidateFailure(Status.INVALID_SOLUTION, str(error)) from error
        # The problem's own code failed on a case it does not handle; a candidate may have provoked it.
        except Exception as error:
            name = type(self._problem).__name__
            detail = f"the evaluator {name} raised {type(error).__name__}: {error}{self._where(error.__traceback__)}"
            raise CandidateFailure(Status.RUNTIME_ERROR, detail) from error

    def _where(self, trace: TracebackType | None) -> str:
        """Returns a note on the innermost line of a traceback in the evaluator's file; empty if there is none."""
        file, line = type(self._problem).evaluate.__code__.co_filename, 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == file:
                line = trace.tb_lineno
            trace = trace.tb_next
        return f" (line {line} of the evaluator)" if line else ""


def draws(problem: ProblemEvaluator) -> bool:
    """Returns whether a problem can draw the solutions of programs."""
    return type(problem).draw is not ProblemEvaluator.draw


def reduce_scores(
    scores: Mapping[str, float], names: Sequence[str], reduction: Literal["last", "mean"]
) -> float | None:
    """Returns the score of a program: its score on the last of the inputs `names`, or the mean over all of them.

    Returns None if a score that it depends on is missing.
    """
    if reduction == "last":
        return scores.get(names[-1])
    if any(name not in scores for name in names):
        return None
    return float(statistics.mean(scores[name] for name in names))  # Exact: does not depend on the order of summation.
