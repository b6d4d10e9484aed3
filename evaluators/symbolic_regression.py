"""Symbolic regression: scores a formula on noisy data that follow a law of mechanics with hidden constants.

The data are accelerations of a pendulum in air, a = -7.3 sin(x) - 0.45 v |v|, at positions and velocities drawn
uniformly from a box, plus normal noise. A candidate predicts all points of an input in one call and is never
shown an acceleration. A score is minus the mean squared error, divided by the variance of the accelerations, and -10 at
worst; predicting the mean acceleration would score -1. Held-out data have no noise: "within" are other points from the
box of the search, and "farther" are points around it, where formulas that merely fit the data fail.

                      small      large     within    farther
    the law         -0.0043    -0.0009     0         0         the noise floor on noisy data, -0.0026 on average
    fitted cubic    -0.0067    -0.0024    -0.0017   -1.3107    in x and v, by least squares
    fitted line     -0.2059    -0.0964    -0.1196   -0.8011    by least squares
    first program   -0.2998    -0.2622    -0.3221   -0.9903
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import funsearch

WORST = -10.0
"""Lowest score: the size of larger errors carries no information."""
LARGEST = 1e100
"""Largest absolute value in a user's input, so that sums of squares stay finite."""


@dataclass(frozen=True, eq=False)
class Data:
    """Accelerations `a` at the positions `x` and velocities `v`."""

    x: np.ndarray
    v: np.ndarray
    a: np.ndarray


def law(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Returns the acceleration of a pendulum with a drag quadratic in its velocity."""
    return np.asarray(-7.3 * np.sin(x) - 0.45 * v * np.abs(v))


def sample(points: int, x: float, v: float, seed: int, noise: float = 0.0, hole: tuple[float, float] = (0, 0)) -> Data:
    """Returns data with positions up to `x` and velocities up to `v` in absolute value, outside the box `hole`."""
    rng = np.random.default_rng(seed)
    draws = rng.uniform(-1, 1, (2, points)) * [[x], [v]]
    xs, vs = draws[:, (np.abs(draws) > np.array(hole)[:, None]).any(axis=0)]
    return Data(xs, vs, law(xs, vs) + noise * rng.normal(size=len(xs)))


class SymbolicRegression(funsearch.ProblemEvaluator):
    """Scores a candidate's `predict(x, v)` by its mean squared error."""

    # Small swings are nearly linear; large swings reveal the drag.
    inputs = {"small": sample(200, 1.0, 2.0, seed=1, noise=0.25), "large": sample(200, 2.5, 5.0, seed=2, noise=0.25)}
    heldout = {
        "within": sample(1000, 2.5, 5.0, seed=101),
        "farther": sample(2000, 5.0, 10.0, seed=102, hole=(2.5, 5.0)),
    }
    reduction = "mean"
    limits = funsearch.Limits(seconds=5.0)
    baselines = {
        "the law": "def predict(x, v):\n    return -7.3 * np.sin(x) - 0.45 * v * np.abs(v)\n",
        "fitted cubic": "def predict(x, v):\n    return -7.02 * x + 0.889 * x**3 - 0.614 * v - 0.070 * v**3\n",
        "fitted line": "def predict(x, v):\n    return -4.01 * x - 1.40 * v\n",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Data) -> float:
        """Returns minus the normalised mean squared error of the predictions."""
        return scored(verified_predictions(candidate.predict(value.x, value.v), len(value.a)), value)

    def draw(self, candidate: funsearch.Candidate, value: Data) -> Any:
        """Draws data and predictions over the position, and predictions against data."""
        from matplotlib.figure import Figure

        predictions = verified_predictions(candidate.predict(value.x, value.v), len(value.a))
        score = scored(predictions, value)
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        figure.suptitle(f"{len(value.a)} accelerations: score {score:.4f}")
        over, against = figure.subplots(1, 2, sharey=True)
        over.plot(value.x, value.a, "o", color="#d55e00", markersize=3, label="data")
        over.plot(value.x, predictions, "x", color="#0072b2", markersize=3, label="predictions")
        over.set(xlabel="position", ylabel="acceleration")
        over.legend()
        against.plot(value.a, predictions, "x", color="#0072b2", markersize=3)
        against.axline((0, 0), slope=1, color="black", linewidth=0.8)
        against.set(xlabel="acceleration", title="prediction over data")
        return figure

    def read_input(self, text: str) -> Any:
        """Returns the parsed JSON."""
        return json.loads(text)

    def check_input(self, value: Any) -> Data:
        """Returns the data of {"x": [...], "v": [...], "a": [...]}, three lists of equal length."""
        if not isinstance(value, Mapping) or set(value) != {"x", "v", "a"}:
            raise ValueError(f'data are {{"x": [...], "v": [...], "a": [...]}}, not {value!r:.80}')
        for name, numbers in value.items():
            if not isinstance(numbers, list | tuple):
                raise ValueError(f"{name} is not a list of numbers: {numbers!r:.80}")
            for number in numbers:
                if type(number) not in (int, float) or not -LARGEST <= number <= LARGEST:
                    raise ValueError(f"{number!r:.80} in {name} is not a number from {-LARGEST:g} to {LARGEST:g}")
        if len({len(numbers) for numbers in value.values()}) > 1:
            raise ValueError("x, v and a differ in length")
        data = Data(*(np.array(value[name], dtype=float) for name in ("x", "v", "a")))
        if len(data.a) < 2 or np.ptp(data.a) == 0 or np.var(data.a) == 0:
            raise ValueError("it needs at least two different accelerations")
        return data


def scored(predictions: np.ndarray, data: Data) -> float:
    """Returns minus the normalised mean squared error of predictions, and at least `WORST`."""
    with np.errstate(over="ignore"):  # an infinite error scores WORST
        error = np.mean((predictions - data.a) ** 2) / np.var(data.a)
    return max(-float(error), WORST)


def verified_predictions(predictions: Any, count: int) -> np.ndarray:
    """Returns predictions as floats.

    Raises:
        InvalidSolution: they are not an array of `count` finite real numbers.
    """
    if not isinstance(predictions, np.ndarray):
        raise funsearch.InvalidSolution(f"expected an array, got {type(predictions).__name__}")
    if predictions.shape != (count,):
        raise funsearch.InvalidSolution(f"predictions of shape {predictions.shape} for {count} points")
    if predictions.dtype.kind not in "iuf":
        raise funsearch.InvalidSolution(f"predictions that are not real numbers but of type {predictions.dtype}")
    values = predictions.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise funsearch.InvalidSolution(f"prediction {wrong[0]} is {values[wrong[0]]}")
    return values
