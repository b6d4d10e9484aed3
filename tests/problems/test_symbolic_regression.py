"""Symbolic regression: the law has the least error, and only one finite number per point gets a score."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.symbolic_regression import WORST, Data, SymbolicRegression, law, sample, verified_predictions
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.code.reading import read_file
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import Sandbox
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("symbolic_regression")
EVERYTHING = {**PROBLEM.inputs, **PROBLEM.heldout}
COUNT = 6
TINY = Data(np.arange(COUNT) / 2, np.ones(COUNT), np.array([3.0, -1.0, 4.0, 1.0, -5.0, 9.0]))
FINITE = st.floats(-1e3, 1e3)


class Answering:
    """A candidate that predicts fixed values."""

    def __init__(self, predictions: Any) -> None:
        self._predictions = predictions

    def predict(self, x: np.ndarray, v: np.ndarray) -> Any:
        return self._predictions


def score(predictions: Any, data: Data = TINY) -> float:
    return SymbolicRegression().evaluate(Answering(predictions), data)  # type: ignore[arg-type]


def outcome(function: Function, inputs: dict[str, Any] | None = None, sandbox: Sandbox | None = None) -> Outcome:
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=inputs or EVERYTHING).score(function)


def baseline(name: str) -> Function:
    return read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])


def test_first_program_gives_the_stated_scores(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, sandbox=sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    stated = {"small": -0.2998, "large": -0.2622, "within": -0.3221, "farther": -0.9903}
    assert first.scores == pytest.approx(stated, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("the law", (-0.0043, -0.0009, 0, 0)),
        ("fitted cubic", (-0.0067, -0.0024, -0.0017, -1.3107)),
        ("fitted line", (-0.2059, -0.0964, -0.1196, -0.8011)),
    ],
)
def test_baselines_give_the_stated_scores(name: str, scores: tuple[float, ...]) -> None:
    assert tuple(outcome(baseline(name)).scores.values()) == pytest.approx(scores, abs=1e-4)


def test_score_of_a_run_is_the_mean_over_its_inputs() -> None:
    assert outcome(baseline("the law"), PROBLEM.inputs).score == pytest.approx(-0.0026, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("fitted line", lambda x, v: [x, v]),
        ("fitted cubic", lambda x, v: [x, x**3, v, v**3]),
        ("the law", lambda x, v: [np.sin(x), v * np.abs(v)]),
    ],
)
def test_baselines_are_about_the_best_of_their_form(name: str, terms: Any) -> None:
    x, v, a = (np.concatenate([getattr(data, part) for data in PROBLEM.inputs.values()]) for part in "xva")
    matrix = np.stack(terms(x, v), axis=1)
    least = np.mean((matrix @ np.linalg.lstsq(matrix, a)[0] - a) ** 2)
    process = InProcessSandbox().start(PROBLEM.specification.program(baseline(name)), SymbolicRegression.limits)
    predictions = process.call("predict", [x, v])
    assert np.mean((predictions - a) ** 2) == pytest.approx(least, rel=0.01)


@pytest.mark.parametrize(("body", "floor"), [("-7.3 * x", False), ("-7.3 * np.sin(x) - 0.45 * v * np.abs(v)", True)])
def test_only_the_law_reaches_the_noise_floor(body: str, floor: bool) -> None:
    scores = outcome(Function(f"    return {body}\n")).scores
    for name, data in PROBLEM.inputs.items():
        noise = 0.25**2 / np.var(data.a)
        assert (scores[name] > -1.25 * noise) == floor


def test_recipe_is_seeded_and_stays_within_its_boxes() -> None:
    data, again, other = (sample(500, 5.0, 10.0, seed, 0.1, hole=(2.5, 5.0)) for seed in (7, 7, 8))
    assert (data.x == again.x).all()
    assert (data.a == again.a).all()
    assert data.x[0] != other.x[0]
    assert np.abs(data.x).max() <= 5
    assert np.abs(data.v).max() <= 10
    assert ((np.abs(data.x) > 2.5) | (np.abs(data.v) > 5)).all()
    assert np.std(data.a - law(data.x, data.v)) == pytest.approx(0.1, rel=0.2)


def test_heldout_inputs_share_no_point_with_the_search() -> None:
    searched = {x for data in PROBLEM.inputs.values() for x in data.x.tolist()}
    assert not searched & {x for data in PROBLEM.heldout.values() for x in data.x.tolist()}
    assert PROBLEM.heldout["farther"].a.size == 1488


def test_perfect_mean_and_hopeless_predictions_have_known_scores() -> None:
    assert score(TINY.a) == 0
    assert score(np.full(COUNT, TINY.a.mean())) == pytest.approx(-1)
    assert score(np.full(COUNT, 1e6)) == WORST
    assert score(np.full(COUNT, 1.7e308)) == WORST
    assert score(np.where(np.arange(COUNT) % 2, 1.7e308, -1.7e308)) == WORST


@given(st.integers(0, COUNT - 1), FINITE)
@settings(deadline=None)
def test_one_wrong_prediction_costs_its_squared_error(place: int, error: float) -> None:
    predictions = TINY.a.copy()
    predictions[place] += error
    assert score(predictions) == pytest.approx(max(WORST, -(error**2) / COUNT / np.var(TINY.a)), abs=1e-9)


@given(st.lists(FINITE, min_size=COUNT, max_size=COUNT), st.floats(0.1, 10), st.floats(-9, 9))
@settings(deadline=None)
def test_score_does_not_depend_on_unit_or_origin(predictions: list[float], unit: float, origin: float) -> None:
    values = np.array(predictions)
    scaled = Data(TINY.x, TINY.v, unit * TINY.a + origin)
    assert score(unit * values + origin, scaled) == pytest.approx(score(values), rel=1e-6, abs=1e-9)


@given(st.integers(0, COUNT - 1), st.sampled_from([float("nan"), float("inf"), float("-inf")]))
@settings(deadline=None)
def test_a_single_prediction_that_is_not_finite_is_rejected(place: int, value: float) -> None:
    for kind in (np.float64, np.float32, np.float16):
        predictions = TINY.a.astype(kind)
        predictions[place] = value
        with pytest.raises(InvalidSolution, match=f"prediction {place} is {value}"):
            score(predictions)


@pytest.mark.parametrize(
    "predictions",
    [TINY.a[1:], np.append(TINY.a, 1.0), np.zeros(0), np.array(3.0), TINY.a[:, None], TINY.a[None], np.eye(COUNT)],
)
def test_predictions_of_another_shape_are_rejected(predictions: np.ndarray) -> None:
    with pytest.raises(InvalidSolution, match=r"predictions of shape .* for 6 points"):
        score(predictions)


@pytest.mark.parametrize("kind", [bool, complex, str, object, "datetime64[s]"])
def test_predictions_that_are_not_real_numbers_are_rejected(kind: Any) -> None:
    with pytest.raises(InvalidSolution, match="not real numbers"):
        score(np.zeros(COUNT, dtype=int).astype(kind))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_any_real_dtype_is_accepted(kind: type) -> None:
    assert verified_predictions(np.arange(COUNT, dtype=kind), COUNT).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("answer", [None, 1.0, 7, "law", b"", {}, TINY.a.tolist(), tuple(TINY.a.tolist())])
def test_anything_but_an_array_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected an array"):
        score(answer)


@pytest.mark.parametrize("body", ["0.0", "x[:-1]", "np.where(x > 0, x, np.inf)", "list(x)", "x > v"])
def test_invalid_answer_sets_the_status_of_the_candidate(body: str) -> None:
    assert outcome(Function(f"    return {body}\n")).status is Status.INVALID_SOLUTION


GIVEN = {"x": [0, 1.5], "v": [2, -1], "a": [0.5, 3]}


def test_literals_and_json_are_read(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps(GIVEN))
    problem = load_problem("symbolic_regression", inputs=[f"literal={GIVEN!r}", f"file=@{file}"])
    for data in problem.inputs.values():
        assert {name: getattr(data, name).tolist() for name in "xva"} == GIVEN
    assert outcome(Function("    return 0.5 + 5 / 3 * x\n"), problem.inputs).score == pytest.approx(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": 3}, "x is not a list of numbers: 3"),
        ({"x": "ab"}, "x is not a list of numbers: 'ab'"),
        ({"v": [1]}, "x, v and a differ in length"),
        ({"v": [1, True]}, "True in v is not a number"),
        ({"v": [1, "2"]}, "'2' in v is not a number"),
        ({"a": [1, None]}, "None in a is not a number"),
        ({"a": [1, 1e101]}, r"1e\+101 in a is not a number"),
        ({"a": [1, float("nan")]}, "nan in a is not a number"),
        ({"a": [1, float("-inf")]}, "-inf in a is not a number"),
        ({"a": [2, 2]}, "at least two different accelerations"),
        ({"a": [1e-200, 2e-200]}, "at least two different accelerations"),
        ({"x": [1], "v": [1], "a": [1]}, "at least two different accelerations"),
        ({"x": [], "v": [], "a": []}, "at least two different accelerations"),
        ({"y": [1, 2]}, "data are"),
    ],
)
def test_invalid_data_are_rejected_with_the_reason(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps({**GIVEN, **change}))
    with pytest.raises(ProblemError, match=f"--input n=@.*{message}"):
        load_problem("symbolic_regression", inputs=[f"n=@{file}"])


@pytest.mark.parametrize("value", ["5", "[]", "{}", "'x'", "None", "{'x': [1, 2], 'v': [1, 2]}"])
def test_literal_that_is_not_data_is_rejected(value: str) -> None:
    with pytest.raises(ProblemError, match=r"--input n=.*data are \{"):
        load_problem("symbolic_regression", inputs=[f"n={value}"])


def test_prompt_is_short_and_reveals_no_constant_of_the_law() -> None:
    prompt = best_shot_prompt(PROBLEM.specification, [PROBLEM.specification.first])
    assert "def predict_v1(x: np.ndarray, v: np.ndarray) -> np.ndarray:" in prompt
    assert not any(word in prompt for word in ("7.3", "0.45", "sin", "pendulum", "quadratic"))
    assert len(prompt) < 700
