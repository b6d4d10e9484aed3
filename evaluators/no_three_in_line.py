"""No three in line: verifies the points of the n x n grid that a candidate chooses and scores their number.

"In line" means on any straight line, not only on rows, columns and diagonals. A row can hold at most two points, so the
maximum is 2n points, which is known to be possible for every n up to 46 (A. Flammenkamp, "Progress in the
no-three-in-line problem, II", Journal of Combinatorial Theory A 81, 1998). Scores:

    n                    11    13    17
    best known           22    26    34    2n
    first program        13    16    22    from the centre outwards
    row by row           13    17    23    the first point that fits
    Erdős                17    21    28    starts with the n points (x, x^2 mod n): no three in line if n is prime
"""

from typing import Any

import numpy as np

import funsearch

LARGEST = 100
"""Largest side: the skeleton calls the priority function for each of the n^2 points."""


class NoThreeInLine(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(n)` by the number of its points."""

    inputs = {"n11": 11}
    heldout = {"n13": 13, "n17": 17}
    baselines = {
        "row by row": "def priority(x, y, n):\n    return 0.0\n",
        "Erdős": "def priority(x, y, n):\n    return float(y == x * x % n)\n",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the number of points that the candidate chooses from the grid of side `value`."""
        return float(verified_size(candidate.solve(value), value))

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws the points on the grid."""
        from matplotlib.figure import Figure

        points = candidate.solve(value)
        size = verified_size(points, value)
        figure = Figure(figsize=(6, 6.2), layout="constrained")
        title = f"no three in line, {value} x {value}: {size} points of at most {2 * value}"
        axes = figure.add_subplot(title=title, aspect="equal", xlim=(-1, value), ylim=(-1, value))
        axes.set(xticks=range(value), yticks=range(value), xticklabels=[], yticklabels=[])
        axes.grid(color="lightgrey")
        axes.plot([x for x, _ in points], [y for _, y in points], "o", color="#0072b2", markersize=min(14, 150 / value))
        return figure

    def check_input(self, value: Any) -> int:
        """Returns the side of the grid."""
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise ValueError(f"{value!r:.80} is not a valid grid size: give an integer from 1 to {LARGEST}")
        return value


def verified_size(points: Any, n: int) -> int:
    """Returns the number of points.

    Raises:
        InvalidSolution: they are not distinct points of the n x n grid with no three on a line.
    """
    if not isinstance(points, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(points).__name__}")
    if len(points) > 2 * n:
        raise funsearch.InvalidSolution(f"{len(points)} points; with more than {2 * n}, a row has three")
    for point in points:
        if not isinstance(point, tuple | list) or len(point) != 2:
            raise funsearch.InvalidSolution(f"not a pair of coordinates: {point!r:.80}")
        if any(type(entry) is not int or not 0 <= entry < n for entry in point):
            raise funsearch.InvalidSolution(f"coordinates that are not integers from 0 to {n - 1}: {point!r:.80}")
    if len({tuple(point) for point in points}) != len(points):
        raise funsearch.InvalidSolution("a point occurs twice")
    grid = np.array(points, dtype=np.int64).reshape(len(points), 2)
    for index, point in enumerate(grid):
        # Seen from the first of three points in line, the other two are in the same or in opposite directions.
        dx, dy = (grid[index + 1 :] - point).T
        parallel = np.outer(dx, dy) == np.outer(dy, dx)
        np.fill_diagonal(parallel, False)
        if parallel.any():
            b, c = np.argwhere(parallel)[0] + index + 1
            raise funsearch.InvalidSolution(f"three points in line: {points[index]}, {points[b]}, {points[c]}")
    return len(points)
