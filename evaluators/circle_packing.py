"""Circle packing: verifies n circles in the unit square in exact arithmetic and scores the sum of their radii.

There is no tolerance: the floats that a candidate returns are treated as exact rational numbers, and no circle may
leave the square or overlap another by any amount. Circles may touch. The skeleton chooses the largest radii for a
candidate's centres, reduced by a factor of about 10^-14 to allow for rounding.

    n                      26       32
    best known          2.635    2.937    AlphaEvolve (2025), appendix B.12, rounded; 2.634 and 2.936 before
    first program       2.232    2.604    rows, with every other row shifted
    grid                2.167    2.667
    grid and gaps       2.541    2.790    a square grid, with the remaining circles in its gaps

For 26, later reports reach about 2.636; some of them allow a tolerance.
"""

from fractions import Fraction
from itertools import combinations
from math import fsum
from typing import Any

import numpy as np

import funsearch

MAX_CIRCLES = 100
"""The skeleton and the exact check take a few tenths of a second for this many."""


class CirclePacking(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(n)` by the sum of its radii."""

    inputs = {"n26": 26}
    heldout = {"n32": 32}
    baselines = {
        "grid": """\
def place(n):
    columns = round(n**0.5)
    row, column = np.divmod(np.arange(n), columns)
    return np.column_stack([(column + 0.5) / columns, (row + 0.5) / np.ceil(n / columns)])
""",
        "grid and gaps": """\
def place(n):
    side = next(k for k in range(1, n + 1) if k**2 + (k - 1) ** 2 >= n)
    grid = [((i % side + 0.5) / side, (i // side + 0.5) / side) for i in range(side**2)]
    gaps = [(i / side, j / side) for i in range(1, side) for j in range(1, side)]
    return np.array((grid + gaps)[:n])
""",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the sum of the radii of `value` circles that the candidate packs."""
        return verified_sum(candidate.solve(value), value)

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws the circles; larger circles are darker."""
        from matplotlib import colormaps
        from matplotlib.figure import Figure
        from matplotlib.patches import Circle

        circles = candidate.solve(value)
        total = verified_sum(circles, value)
        figure = Figure(figsize=(6, 6.2), layout="constrained")
        axes = figure.add_subplot(
            title=f"{value} circles: sum of radii {total:.4f}", aspect="equal", xticks=[], yticks=[]
        )
        for x, y, r in circles:
            shade = colormaps["Blues"](0.2 + 0.6 * r / circles[:, 2].max())
            axes.add_patch(Circle((x, y), r, facecolor=shade, edgecolor="black", linewidth=0.5))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        return figure

    def check_input(self, value: Any) -> int:
        """Returns the number of circles."""
        if type(value) is not int or not 1 <= value <= MAX_CIRCLES:
            raise ValueError(f"{value!r:.80} is not a valid number of circles: give an integer from 1 to {MAX_CIRCLES}")
        return value


def verified_sum(circles: Any, n: int) -> float:
    """Returns the sum of the radii, correctly rounded.

    Raises:
        InvalidSolution: these are not n circles inside the unit square that do not overlap.
    """
    if not isinstance(circles, np.ndarray):
        raise funsearch.InvalidSolution(f"expected an array, got {type(circles).__name__}")
    if circles.dtype != np.float64 or circles.shape != (n, 3):
        raise funsearch.InvalidSolution(
            f"expected float64 of shape ({n}, 3), got {circles.dtype} of shape {circles.shape}"
        )
    rows: list[list[float]] = circles.tolist()
    if not np.isfinite(circles).all():
        raise funsearch.InvalidSolution("an entry is NaN or infinite")
    exact = [(Fraction(x), Fraction(y), Fraction(r)) for x, y, r in rows]
    for index, (x, y, r) in enumerate(exact):
        if r <= 0:
            raise funsearch.InvalidSolution(f"circle {index} has a radius that is not positive: {rows[index]}")
        if not (r <= x <= 1 - r and r <= y <= 1 - r):
            raise funsearch.InvalidSolution(f"circle {index} leaves the unit square: {rows[index]}")
    for (i, (x, y, r)), (j, (u, v, s)) in combinations(enumerate(exact), 2):
        if (x - u) ** 2 + (y - v) ** 2 < (r + s) ** 2:
            raise funsearch.InvalidSolution(f"circles {i} and {j} overlap: {rows[i]} and {rows[j]}")
    return fsum(r for _, _, r in rows)
