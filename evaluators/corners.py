"""Corners: verifies a set of labelled points of Z_p^n x Z_p^n that a candidate builds and scores its size.

A corner is three points (x, y), (x + d, y), (x, y + d) with d != 0. A candidate gives each point of its set two
integer labels f and g, such that every corner in the set satisfies

    f(x, y) + g(x + d, y) > f(x, y + d) + g(x, y + d).

This is what FunSearch searches for (the "combinatorial degeneration" of Christandl, Fawzi, Ta and Zuiddam, 2022, with
h = -f - g as the third label). A corner-free set is the special case with the same labels everywhere. In general the
set may contain corners, but its powers contain corner-free sets of nearly their size: in the m-th power, sum the labels
over the m factors, and take the points with the most frequent sums F, G. They are s^m / poly(m), for s points in the
set. A corner among them is a corner in some factors and a single point in the others, so it would imply F + G > F + G.
Hence there are corner-free sets of size s^(m - o(m)) in Z_p^(m n) x Z_p^(m n).

Best known sizes (FunSearch): in Z_2^n for n = 1 ... 4: 3, 11, 39, 137; in Z_3^n for n = 1 ... 3: 7, 53, 370. The
published sets of 137 and 53 points have such labels and contain corners. A set without corners is smaller, because any
three points of Z_2 x Z_2 form a corner. Constant labels and priorities give 2^n and 3^n. The first program gives
27, 81, 243 in Z_2^n for n = 3 ... 5 and 25, 128 in Z_3^n for n = 2, 3.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

import funsearch

LARGEST = 10_000
"""Largest p^2n: the skeleton lists all points and their corners, which is impractical beyond this."""

LARGEST_LABEL = 2**40
"""Largest absolute value of a label, so that sums of labels are exact."""


class Corners(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(p, n)` by the number of its points."""

    inputs = {"Z2_4": (2, 4)}
    heldout = {"Z2_3": (2, 3), "Z2_5": (2, 5), "Z3_2": (3, 2), "Z3_3": (3, 3)}

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the size of the set that the candidate builds for `value`, a modulus and a dimension."""
        p, n = value
        return float(verified_size(candidate.solve(p, n), p, n))

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws the set with its labels f and g, x across and y down."""
        from matplotlib.figure import Figure

        p, n = value
        answer = candidate.solve(p, n)
        size = verified_size(answer, p, n)
        points, labels = read_points(answer, p, n)
        weights = p ** np.arange(n)[::-1]
        figure = Figure(figsize=(9, 4.4), layout="constrained")
        figure.suptitle(f"points of Z{p}^{n} x Z{p}^{n} whose labels hold their corners apart: {size}")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, name, values in zip(panels, "fg", labels.T, strict=True):
            table = np.full((p**n, p**n), np.nan)
            table[points[:, n:] @ weights, points[:, :n] @ weights] = values
            shades = axes.imshow(
                table, "cividis", vmin=labels.min(initial=0), vmax=labels.max(initial=1), interpolation="none"
            )
            axes.set(title=f"label {name}", xlabel="x, read as a number")
        panels[0].set(ylabel="y, read as a number")
        figure.colorbar(shades, ax=panels, label="label; white: not in the set")
        return figure

    def check_input(self, value: Any) -> tuple[int, int]:
        """Returns the modulus and the dimension."""
        if not isinstance(value, tuple | list) or len(value) != 2 or any(type(number) is not int for number in value):
            raise ValueError(f"{value!r:.80} is not a pair (p, n) of integers")
        p, n = value
        if not 2 <= p <= LARGEST:
            raise ValueError(f"{p!r:.80} is not a valid modulus: give an integer of at least 2")
        # The order matters: a large power would not even be computed quickly.
        if not 1 <= n <= 20 or p ** (2 * n) > LARGEST:
            raise ValueError(
                f"{n!r:.80} is not a valid dimension: give a positive integer with {p}^2n of at most {LARGEST}"
            )
        return p, n


def verified_size(answer: Any, p: int, n: int) -> int:
    """Returns the number of points.

    Raises:
        InvalidSolution: they are not distinct points of Z_p^n x Z_p^n whose corners all satisfy the inequality.
    """
    points, labels = read_points(answer, p, n)
    weights = p ** np.arange(2 * n)
    # Position of each point of the grid in the answer; -1 if it is missing.
    row = np.full(p ** (2 * n), -1)
    row[points @ weights] = np.arange(len(points))
    if np.count_nonzero(row >= 0) != len(points):
        raise funsearch.InvalidSolution("a point occurs twice")
    f, g = labels.T
    for step in itertools.islice(itertools.product(range(p), repeat=n), 1, None):
        right = row[(points + np.array([*step, *(0,) * n])) % p @ weights]
        up = row[(points + np.array([*(0,) * n, *step])) % p @ weights]
        (apexes,) = np.nonzero((right >= 0) & (up >= 0))
        right, up = right[apexes], up[apexes]
        failing = f[apexes] + g[right] <= f[up] + g[up]
        if failing.any():
            corner = [answer[int(rows[failing][0])][0] for rows in (apexes, right, up)]
            raise funsearch.InvalidSolution(f"a corner violates the inequality between its labels: {corner}")
    return len(points)


def read_points(answer: Any, p: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the points, x before y, and their labels, one point per row.

    Raises:
        InvalidSolution: the answer is not a list of pairs of a point and its two labels.
    """
    if not isinstance(answer, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(answer).__name__}")
    if len(answer) > p ** (2 * n):
        raise funsearch.InvalidSolution(f"{len(answer)} points; at most {p ** (2 * n)} are possible")
    for pair in answer:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise funsearch.InvalidSolution(f"not a point and its labels: {pair!r:.80}")
        point, labels = pair
        if not isinstance(point, tuple | list) or len(point) != 2 * n:
            raise funsearch.InvalidSolution(f"not a point of length {2 * n}: {point!r:.80}")
        if any(type(entry) is not int or not 0 <= entry < p for entry in point):
            raise funsearch.InvalidSolution(f"entries other than 0 ... {p - 1}: {point!r:.80}")
        if not isinstance(labels, tuple | list) or len(labels) != 2:
            raise funsearch.InvalidSolution(f"not two labels: {labels!r:.80}")
        if any(type(label) is not int or not -LARGEST_LABEL <= label <= LARGEST_LABEL for label in labels):
            raise funsearch.InvalidSolution(
                f"labels that are not integers of at most 2^40 in absolute value: {labels!r:.80}"
            )
    points = np.array([point for point, _ in answer], dtype=np.int64).reshape(len(answer), 2 * n)
    return points, np.array([labels for _, labels in answer], dtype=np.int64).reshape(len(answer), 2)
