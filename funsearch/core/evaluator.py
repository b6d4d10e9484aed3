"""The evaluator (FunSearch, Methods, "Evaluation"): runs a function on every input and keeps the scores.

Knows nothing about how a candidate is confined, nor about duplicates, islands and clocks.
"""

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from funsearch.core.code import UnreadableCompletion, key, read_completion
from funsearch.core.ports import CandidateFailure, CandidateProcess, Sandbox
from funsearch.core.problem import Candidate, InvalidSolution, ProblemEvaluator
from funsearch.core.records import Evaluation, Function, Limits, Sample, Status
from funsearch.core.specification import Specification


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a function. `scores` is empty unless `status` is OK or the problem keeps partial results."""

    status: Status
    scores: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    """The scores reduced to one number; None unless `status` is OK."""
    error: str = ""
    output: str = ""
    seconds: float = 0.0


def reduce_scores(
    scores: Mapping[str, float], names: tuple[str, ...], reduction: Literal["last", "mean"]
) -> float | None:
    """Returns one score for a program: that of the last input, or the mean; None when the inputs for it are missing."""
    if reduction == "last":
        return scores.get(names[-1])
    if any(name not in scores for name in names):
        return None
    return math.fsum(scores.values()) / len(names)


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
        self.specification = specification
        self._problem = problem
        self._sandbox = sandbox
        self._inputs = dict(problem.inputs if inputs is None else inputs)
        self._limits = limits or problem.limits

    def evaluate(self, sample: Sample) -> Evaluation:
        """Returns the verdict on a completion, read and scored."""
        try:
            function = read_completion(self.specification, sample.text, sample.prompt.version)
        except UnreadableCompletion as unreadable:
            return Evaluation(sample, Status.COMPILE_ERROR, None, error=str(unreadable))
        verdict = self.score(function)
        return Evaluation(
            sample,
            verdict.status,
            function,
            key(function),
            verdict.scores,
            verdict.error,
            verdict.output,
            verdict.seconds,
            self._sandbox.level,
            score=verdict.score,
        )

    def score(self, function: Function) -> Verdict:
        """Returns the verdict on a function. One process serves all inputs, in their order.

        The first failure ends it (`partial = "reject"`), or the other inputs are tried as well (`"keep"`).

        Raises:
            SandboxError: candidates cannot be run at all.
        """
        source = self.specification.program(function)
        scores: dict[str, float] = {}
        failure: CandidateFailure | None = None
        output, seconds = "", 0.0
        left = list(self._inputs)
        while left and (failure is None or self._problem.partial == "keep"):
            try:
                process = self._sandbox.start(source, self._limits)
            except CandidateFailure as error:
                failure = error
                break
            with process:
                stopped = self._score_inputs(process, left, scores)
                report = process.close()
            output += report.output
            seconds += report.seconds
            failure = stopped or failure
        status = failure.status if failure else Status.OK
        kept = {name: scores[name] for name in self._inputs if name in scores}
        if failure and self._problem.partial == "reject":
            kept = {}
        score = reduce_scores(kept, tuple(self._inputs), self._problem.reduction) if status is Status.OK else None
        error = failure.detail if failure else ""
        return Verdict(status, kept, score, error, output[: self._limits.output_bytes], seconds)

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox.close()

    def _score_inputs(
        self, process: CandidateProcess, left: list[str], scores: dict[str, float]
    ) -> CandidateFailure | None:
        """Scores inputs until one fails; takes what was tried out of `left`."""
        candidate = Candidate(process)
        while left:
            name = left.pop(0)
            process.begin_input()
            try:
                scores[name] = finite_score(self._problem.evaluate(candidate, self._inputs[name]))
            except CandidateFailure as error:
                return error
            except InvalidSolution as error:
                return CandidateFailure(Status.INVALID_SOLUTION, str(error))
            # The problem's own code met something it was not written for; a candidate may have provoked it.
            except Exception as error:
                return CandidateFailure(Status.RUNTIME_ERROR, f"the evaluator raised {type(error).__name__}: {error}")
        return None


def finite_score(value: Any) -> float:
    """Returns a score as a float.

    Raises:
        CandidateFailure: BAD_SCORE, for anything but a finite real number.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise CandidateFailure(Status.BAD_SCORE, f"not a number: {value!r:.100}")
    try:
        score = float(value)
    except OverflowError:
        score = math.inf
    if not math.isfinite(score):
        raise CandidateFailure(Status.BAD_SCORE, f"not finite: {value!r:.100}")
    return score
