"""The evaluator: the outcomes of functions that run, fail or cheat, and of errors in the problem itself."""

import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funsearch
from funsearch.core.code.identity import key
from funsearch.core.evaluator import Evaluator, draws, reduce_scores
from funsearch.core.feedback import MAX_ARTIFACT, finite_score, read_result
from funsearch.core.ports import CandidateFailure, ProcessReport
from funsearch.core.records import Function, Limits, Prompt, Sample, Status, joined_notes
from funsearch.core.specification import Specification
from funsearch.errors import PictureError, ProblemError, SandboxError
from funsearch.testing import InProcessSandbox
from funsearch.testing.sandbox import InProcessCandidate

SPECIFICATION = Specification.parse('''"""Guesses."""
import funsearch

@funsearch.evolve
def guess(x: float) -> float:
    """Returns a guess."""
    return 0.0
''')


class Closeness(funsearch.ProblemEvaluator):
    inputs = {"two": 2.0, "five": 5.0, "nine": 9.0}

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        answer = candidate.guess(value)
        if isinstance(answer, str):
            raise funsearch.InvalidSolution(f"a text: {answer!r}")
        return -abs(answer - value)


class Keeping(Closeness):
    partial = "keep"


class Staged(Closeness):
    """Requires a close answer on two before five is evaluated, and on five before nine."""

    thresholds = {"two": -4.0, "five": -1.0}


class Answer(funsearch.ProblemEvaluator):
    """Uses the candidate's answer as the score."""

    inputs = {"one": 1}

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> Any:
        return candidate.guess(value)


class CountingSandbox(InProcessSandbox):
    """Counts the calls to it, and reports one second for each process."""

    level = "counted"

    def __init__(self) -> None:
        self.started = self.inputs = self.closed = 0

    def start(self, source: str, limits: Limits) -> "CountedCandidate":
        self.started += 1
        return CountedCandidate(source, limits, self)

    def close(self) -> None:
        self.closed += 1


class CountedCandidate(InProcessCandidate):
    def __init__(self, source: str, limits: Limits, counts: CountingSandbox) -> None:
        super().__init__(source, limits)
        self._counts = counts

    def begin_input(self) -> None:
        self._counts.inputs += 1

    def close(self) -> ProcessReport:
        return ProcessReport(super().close().output, seconds=1.0)


def body(text: str) -> Function:
    return Function(f"    {text}\n")


def sample(text: str) -> Sample:
    return Sample(
        prompt=Prompt(index=3, island=1, resets=0, text="", version=2, parents=(), after=0),
        index=0,
        text=text,
        model="model",
        finish_reason="stop",
    )


def test_one_process_serves_all_inputs_in_order() -> None:
    sandbox = CountingSandbox()
    outcome = Evaluator(SPECIFICATION, Closeness(), sandbox).score(body("print(x); return x + 1"))
    assert outcome.status is Status.OK
    assert list(outcome.scores.items()) == [("two", -1.0), ("five", -1.0), ("nine", -1.0)]
    assert outcome.output == "2.0\n5.0\n9.0\n"
    assert (sandbox.started, sandbox.inputs, outcome.seconds) == (1, 3, 1.0)


def test_score_is_that_of_the_last_input_or_the_mean_of_all() -> None:
    class Mean(Closeness):
        reduction = "mean"

    function = body("return 1.0")
    assert Evaluator(SPECIFICATION, Closeness(), InProcessSandbox()).score(function).score == -8.0
    assert Evaluator(SPECIFICATION, Mean(), InProcessSandbox()).score(function).score == pytest.approx(-13 / 3)


def test_first_failure_rejects_the_program() -> None:
    sandbox = CountingSandbox()
    outcome = Evaluator(SPECIFICATION, Closeness(), sandbox).score(body("return 1 / (x - 5)"))
    assert outcome.status is Status.RUNTIME_ERROR
    assert (outcome.scores, outcome.score) == ({}, None)
    assert outcome.error.startswith("five: ZeroDivisionError")
    assert sandbox.inputs == 2


def test_keeping_partial_results_continues_in_a_fresh_process() -> None:
    sandbox = CountingSandbox()
    source = "global calls; calls = globals().get('calls', 0) + 1; print(calls); return 1 / (x - 5)"
    outcome = Evaluator(SPECIFICATION, Keeping(), sandbox).score(body(source))
    assert outcome.status is Status.RUNTIME_ERROR
    assert list(outcome.scores) == ["two", "nine"]
    assert outcome.score is None
    assert outcome.output == "1\n2\n1\n"
    assert (sandbox.started, sandbox.inputs, outcome.seconds) == (2, 3, 2.0)


def test_the_first_of_several_failures_is_reported() -> None:
    outcome = Evaluator(SPECIFICATION, Keeping(), InProcessSandbox()).score(
        body("return 'text' if x < 3 else 1 / (x - 5)")
    )
    assert (outcome.status, list(outcome.scores)) == (Status.INVALID_SOLUTION, ["nine"])
    assert outcome.error == "two: a text: 'text'"


def test_source_that_fails_to_load_is_started_only_once() -> None:
    sandbox = CountingSandbox()
    outcome = Evaluator(SPECIFICATION, Keeping(), sandbox).score(Function("    return x\n", "table = [1][2]\n"))
    assert outcome.status is Status.RUNTIME_ERROR
    assert "IndexError" in outcome.error
    assert sandbox.started == 1


def test_failure_on_the_only_input_does_not_name_it() -> None:
    outcome = Evaluator(SPECIFICATION, Closeness(), InProcessSandbox(), inputs={"x": 1.0}).score(body("return 'a'"))
    assert (outcome.status, outcome.error) == (Status.INVALID_SOLUTION, "a text: 'a'")


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("float('nan')", "nan"),
        ("float('-inf')", "-inf"),
        ("True", "True"),
        ("None", "None"),
        ("'9'", "'9'"),
        ("[1.0]", "[1.0]"),
        ("10 ** 5000", "too large"),
    ],
)
def test_anything_but_a_finite_real_number_is_a_bad_score(answer: str, named: str) -> None:
    outcome = Evaluator(SPECIFICATION, Answer(), InProcessSandbox()).score(body(f"return {answer}"))
    assert (outcome.status, outcome.score, outcome.scores) == (Status.BAD_SCORE, None, {})
    assert named in outcome.error


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.float64(3), np.int8(3), np.uint64(3), Fraction(3)])
def test_numpy_numbers_are_scores(value: Any) -> None:
    score = finite_score(value)
    assert score == 3.0
    assert type(score) is float


@pytest.mark.parametrize("value", [np.bool_(True), np.array(3.0), np.float32("inf"), 3 + 0j, Answer])
def test_other_objects_are_not_scores(value: Any) -> None:
    with pytest.raises(CandidateFailure, match="BAD_SCORE"):
        finite_score(value)


def test_exception_of_the_evaluator_is_an_outcome_with_its_line() -> None:
    outcome = Evaluator(SPECIFICATION, Closeness(), InProcessSandbox()).score(body("return [x]"))
    line = Closeness.evaluate.__code__.co_firstlineno + 4
    assert outcome.status is Status.RUNTIME_ERROR
    assert outcome.error.startswith("two: the evaluator Closeness raised TypeError: unsupported operand")
    assert outcome.error.endswith(f"(line {line} of the evaluator)")


def test_evaluator_that_catches_a_failure_gets_it_again() -> None:
    class Stubborn(Answer):
        def evaluate(self, candidate: funsearch.Candidate, value: Any) -> Any:
            for _ in range(3):
                try:
                    return candidate.guess(value)
                except CandidateFailure:
                    continue
            return candidate.guess(value)

    source = body("global n; n = globals().get('n', 0) + 1; return 1 / (n - 1)")
    outcome = Evaluator(SPECIFICATION, Stubborn(), InProcessSandbox()).score(source)
    assert outcome.status is Status.RUNTIME_ERROR


def test_broken_sandbox_is_raised() -> None:
    class Gone(InProcessSandbox):
        def start(self, source: str, limits: Limits) -> Any:
            raise SandboxError("the worker is gone")

    class GoneLater(InProcessCandidate):
        def call(self, function: str, args: Sequence[Any]) -> Any:
            raise SandboxError("the worker is gone")

    class Going(InProcessSandbox):
        def start(self, source: str, limits: Limits) -> Any:
            return GoneLater(source, limits)

    for sandbox in (Gone(), Going()):
        with pytest.raises(SandboxError, match="worker is gone"):
            Evaluator(SPECIFICATION, Closeness(), sandbox).score(SPECIFICATION.first)


def test_inputs_and_limits_can_be_replaced() -> None:
    seen: list[Limits] = []

    class Watching(InProcessSandbox):
        def start(self, source: str, limits: Limits) -> InProcessCandidate:
            seen.append(limits)
            return super().start(source, limits)

    limits = Limits(seconds=1.0, output_bytes=3)
    evaluator = Evaluator(SPECIFICATION, Closeness(), Watching(), inputs={"one": 1.0}, limits=limits)
    outcome = evaluator.score(body("print('abcdef'); return x"))
    assert (outcome.scores, outcome.output, seen) == ({"one": 0.0}, "abc", [limits])


def test_evaluator_without_inputs_is_refused() -> None:
    with pytest.raises(ProblemError, match="Closeness has no inputs"):
        Evaluator(SPECIFICATION, Closeness(), InProcessSandbox(), inputs={})


def test_evaluation_has_the_function_its_key_and_the_sandbox_level() -> None:
    completion = sample("    return x - 1\n")
    evaluation = Evaluator(SPECIFICATION, Closeness(), CountingSandbox()).evaluate(completion)
    assert evaluation.sample is completion
    assert evaluation.function == body("return x - 1")
    assert evaluation.key == key(body("return x - 1"))
    assert (evaluation.status, evaluation.score) == (Status.OK, -1.0)
    assert (evaluation.sandbox, evaluation.seconds) == ("counted", 1.0)


def test_unreadable_completion_never_reaches_the_sandbox() -> None:
    sandbox = CountingSandbox()
    evaluation = Evaluator(SPECIFICATION, Closeness(), sandbox).evaluate(sample("I would rather not."))
    assert (evaluation.status, evaluation.function, evaluation.key) == (Status.COMPILE_ERROR, None, "")
    assert evaluation.error
    assert sandbox.started == 0


def test_call_of_an_earlier_version_is_refused() -> None:
    evaluation = Evaluator(SPECIFICATION, Closeness(), CountingSandbox()).evaluate(sample("    return guess_v1(x)\n"))
    assert evaluation.status is Status.COMPILE_ERROR
    assert "guess_v1" in evaluation.error


def test_closing_closes_the_sandbox() -> None:
    sandbox = CountingSandbox()
    Evaluator(SPECIFICATION, Closeness(), sandbox).close()
    assert sandbox.closed == 1


def test_reduction_is_none_if_a_score_is_missing() -> None:
    assert reduce_scores({"a": 1.0}, ["a", "b"], "last") is None
    assert reduce_scores({"b": 1.0}, ["a", "b"], "last") == 1.0
    assert reduce_scores({"b": 1.0}, ["a", "b"], "mean") is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_mean_is_finite_and_within_the_scores(values: list[float]) -> None:
    names = [str(index) for index in range(len(values))]
    mean = reduce_scores(dict(zip(names, values, strict=True)), names, "mean")
    assert mean is not None
    assert -sys.float_info.max <= min(values) <= mean <= max(values)


class Refreshing(InProcessSandbox):
    """Counts the replacements of its worker."""

    refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1


def confirmed(text: str, best: float | None) -> tuple[Status, str, int]:
    """Returns status and error of a function, and the number of fresh workers used."""
    sandbox = Refreshing()
    evaluator = Evaluator(SPECIFICATION, Answer(), sandbox)
    outcome = evaluator.score_confirmed(Function(text), best)
    assert (outcome.score is None) == (outcome.status is not Status.OK)
    return outcome.status, outcome.error, sandbox.refreshed


def test_a_new_best_score_is_confirmed_in_a_fresh_worker() -> None:
    assert confirmed("    return 3.0\n", None) == (Status.OK, "", 1)
    assert confirmed("    return 3.0\n", 2.0) == (Status.OK, "", 1)
    assert confirmed("    return 3.0\n", 3.0) == (Status.OK, "", 0)
    assert confirmed("    return 1 / 0\n", None)[0::2] == (Status.RUNTIME_ERROR, 0)


def test_a_new_best_score_that_changes_is_a_bad_score() -> None:
    body = "    import time\n    return float(time.perf_counter_ns())\n"
    status, error, refreshed = confirmed(body, 2.0)
    assert (status, refreshed) == (Status.BAD_SCORE, 1)
    assert error.startswith("unstable: ")
    once = "    import sys\n    sys.once = getattr(sys, 'once', 0) + 1\n    return 9.0 / (2 - sys.once)\n"
    status, error, _ = confirmed(once, 2.0)
    del sys.once  # type: ignore[attr-defined]
    assert status is Status.BAD_SCORE
    assert "RUNTIME_ERROR" in error


@pytest.mark.parametrize(
    ("text", "status", "scored", "stage", "error"),
    [
        ("return x", Status.OK, ["two", "five", "nine"], 3, ""),
        ("return x + 1", Status.OK, ["two", "five", "nine"], 3, ""),
        ("return 3.9", Status.BELOW_THRESHOLD, ["two", "five"], 2, "five: -1.1 is less than -1"),
        ("return 7.0", Status.BELOW_THRESHOLD, ["two"], 1, "two: -5 is less than -4"),
        ("return 1 / (x - 5)", Status.RUNTIME_ERROR, [], 1, "five: ZeroDivisionError"),
        ("return 1 / (x - 9)", Status.BELOW_THRESHOLD, ["two", "five"], 2, "five: -5.25 is less than -1"),
    ],
)
def test_program_below_a_threshold_is_not_evaluated_further(
    text: str, status: Status, scored: list[str], stage: int, error: str
) -> None:
    outcome = Evaluator(SPECIFICATION, Staged(), InProcessSandbox()).score(body(text))
    assert (outcome.status, list(outcome.scores)) == (status, scored)
    assert (outcome.score is not None) == (status is Status.OK)
    assert outcome.error.startswith(error)
    assert outcome.stage == (stage if scored else 2)


def test_keeping_partial_results_stops_at_a_threshold_that_was_not_reached() -> None:
    class StagedKeeping(Staged):
        partial = "keep"

    score = Evaluator(SPECIFICATION, StagedKeeping(), InProcessSandbox()).score
    failed = score(body("return 1 / (x - 5)"))
    assert (failed.status, list(failed.scores)) == (Status.RUNTIME_ERROR, ["two"])
    below = score(body("return 7.0"))
    assert (below.status, list(below.scores)) == (Status.BELOW_THRESHOLD, ["two"])


def test_thresholds_of_replaced_inputs_do_not_count() -> None:
    inputs = {"other": 0.0, "five": 5.0}
    outcome = Evaluator(SPECIFICATION, Staged(), InProcessSandbox(), inputs=inputs).score(body("return 100.0"))
    assert (outcome.status, outcome.stage) == (Status.OK, 1)


class Commenting(funsearch.ProblemEvaluator):
    """Reports the candidate's answers as notes and artifacts."""

    inputs = {"a": 1.0, "b": 2.0}

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> funsearch.Result:
        answer = candidate.guess(value)
        return funsearch.Result(answer, f"said {answer:g}" if value > 1 else "", {"answers": np.array([answer, value])})


def test_notes_and_artifacts_are_kept_by_input() -> None:
    evaluation = Evaluator(SPECIFICATION, Commenting(), InProcessSandbox()).evaluate(sample("    return x + 1\n"))
    assert evaluation.scores == {"a": 2.0, "b": 3.0}
    assert evaluation.feedback["b"].notes == "said 3"
    assert {name: feedback.artifacts["answers"] for name, feedback in evaluation.feedback.items()} == {
        "a": [2.0, 1.0],
        "b": [3.0, 2.0],
    }
    assert joined_notes(evaluation.feedback) == "said 3"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (funsearch.Result(1.0, notes=3), "notes of a Result"),  # type: ignore[arg-type]
        (funsearch.Result(1.0, artifacts=[1]), "artifacts of a Result"),  # type: ignore[arg-type]
        (funsearch.Result(1.0, artifacts={"x": {1, 2}}), "artifact x"),
        (funsearch.Result(1.0, artifacts={"x": float("nan")}), "artifact x"),
        (funsearch.Result(1.0, artifacts={"x": np.array([object()])}), "artifact x"),
    ],
)
def test_feedback_of_a_wrong_type_is_an_error_in_the_evaluator(returned: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        read_result(returned)


def test_bad_score_in_a_result_is_a_bad_score() -> None:
    with pytest.raises(CandidateFailure, match="BAD_SCORE"):
        read_result(funsearch.Result(float("nan")))


def test_large_artifact_is_replaced_by_a_note() -> None:
    _, feedback = read_result(funsearch.Result(1.0, artifacts={"small": "x", "large": "x" * MAX_ARTIFACT}))
    assert feedback is not None
    assert feedback.artifacts == {"small": "x", "large": "(omitted: 65,538 characters)"}


class Drawing(Closeness):
    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        from matplotlib.figure import Figure

        score = self.evaluate(candidate, value)
        figure = Figure()
        figure.suptitle(f"{value}: {score}")
        return figure


def picture(problem: funsearch.ProblemEvaluator, text: str = "return 1.0", name: str = "five") -> Any:
    return Evaluator(SPECIFICATION, problem, InProcessSandbox()).draw(body(text), name)


def test_problem_draws_the_solution_of_a_function() -> None:
    assert draws(Drawing())
    assert picture(Drawing(), "return x + 1").get_suptitle() == "5.0: -1.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return 'x'", "Cannot draw what the program builds for five: INVALID_SOLUTION: a text: 'x'."),
        ("return 1 / 0", "five: RUNTIME_ERROR: ZeroDivisionError"),
        ("return [", "COMPILE_ERROR"),
    ],
)
def test_function_without_a_score_is_not_drawn(text: str, message: str) -> None:
    with pytest.raises(PictureError) as caught:
        picture(Drawing(), text)
    assert message in str(caught.value)


def test_drawing_requires_a_draw_method() -> None:
    assert not draws(Closeness())
    with pytest.raises(PictureError, match=r"its evaluator Closeness has no `draw` method: add `draw\("):
        picture(Closeness())


def test_unknown_input_is_refused_with_a_suggestion() -> None:
    with pytest.raises(PictureError, match="no input fife: did you mean five"):
        picture(Drawing(), name="fife")
    with pytest.raises(PictureError, match="no input zzz: choose from two, five, nine"):
        picture(Drawing(), name="zzz")


def test_picture_without_matplotlib_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PictureError, match=r"^Pictures need matplotlib: pip install 'funsearch\[plot\]'\.$"):
        picture(Drawing())


def test_error_in_draw_is_reported_with_its_line() -> None:
    class Mistaken(Closeness):
        def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
            return candidate.guess(value)[0]

    with pytest.raises(PictureError, match=r"the evaluator Mistaken raised TypeError.*\(line \d+ of the evaluator\)"):
        picture(Mistaken())


def test_draw_must_return_a_figure() -> None:
    class Nothing(Closeness):
        def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
            return None

    with pytest.raises(PictureError, match=r"`draw` of Nothing returned None: return a matplotlib\.figure\.Figure"):
        picture(Nothing())
