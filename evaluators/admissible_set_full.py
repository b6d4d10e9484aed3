"""Constant-weight admissible sets I(n, w) without symmetry: verifies the vectors and scores their number.

The evaluator `admissible_set` defines these sets and gives the lower bound on the cap set capacity that follows from
them. A set has at most C(n, w) vectors; 792 are possible for (12, 7) (FunSearch). The first program
takes the vectors in lexicographic order and finds 548 of them.
"""

import math
from typing import Any

import numpy as np

import funsearch

MAX_VECTORS = 200_000
"""Limit on C(n, w) * 2^w, because the skeleton lists all vectors; 101,376 for (12, 7)."""


class AdmissibleSetFull(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(n, w)` by the number of its vectors."""

    inputs = {"I12_7": (12, 7)}
    heldout = {"I9_5": (9, 5), "I11_7": (11, 7)}
    limits = funsearch.Limits(seconds=120.0)

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the size of the admissible set that the candidate builds for `value`, a dimension and a weight."""
        n, w = value
        return float(verified_size(candidate.solve(n, w), n, w))

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws the vectors as columns."""
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure

        n, w = value
        vectors = candidate.solve(n, w)
        size = verified_size(vectors, n, w)
        figure = Figure(figsize=(9, 3), layout="constrained")
        axes = figure.add_subplot(title=f"admissible set, n = {n}, w = {w}: {size} of {math.comb(n, w)} vectors")
        matrix = np.zeros((n, max(1, size)), dtype=int)
        matrix[:, :size] = np.array(sorted(map(tuple, vectors)), dtype=int).reshape(-1, n).T
        colours = ListedColormap(["white", "#56b4e9", "#d55e00"])
        entries = axes.imshow(matrix, cmap=colours, vmin=-0.5, vmax=2.5, aspect="auto", interpolation="none")
        figure.colorbar(entries, ticks=[0, 1, 2], label="entry")
        axes.set(xlabel="vector", ylabel="coordinate")
        return figure

    def check_input(self, value: Any) -> tuple[int, int]:
        """Returns the dimension and the weight."""
        if not isinstance(value, tuple | list) or len(value) != 2 or any(type(number) is not int for number in value):
            raise ValueError(f"{value!r:.80} is not a pair (n, w) of integers")
        n, w = value
        if not 1 <= w <= n or n > 16 or math.comb(n, w) * 2**w > MAX_VECTORS:
            raise ValueError(f"({n}, {w}) has more than {MAX_VECTORS:,} vectors, or none of that weight")
        return n, w


def verified_size(vectors: Any, n: int, w: int) -> int:
    """Returns the number of vectors.

    Raises:
        InvalidSolution: these are not vectors of weight w, two are nonzero in the same places, or three clash.
    """
    points = read_vectors(vectors, n, w)
    if len(np.unique(points != 0, axis=0)) != len(points):
        raise funsearch.InvalidSolution("two vectors are nonzero in the same places")
    distinguishes = np.zeros((3, 3, 3), dtype=bool)
    for entries in np.ndindex(distinguishes.shape):
        distinguishes[entries] = sorted(entries) in ([0, 1, 2], [0, 0, 1], [0, 0, 2])
    for index in range(2, len(points)):
        # One coordinate at a time, for all pairs of earlier vectors.
        clashing = ~np.eye(index, dtype=bool)
        for coordinate, entry in enumerate(points[index].tolist()):
            before = points[:index, coordinate]
            clashing &= ~distinguishes[entry][before[:, None], before]
        if clashing.any():
            raise funsearch.InvalidSolution(f"three vectors clash, including {vectors[index]}")
    return len(points)


def read_vectors(vectors: Any, n: int, w: int) -> np.ndarray:
    """Returns the vectors, one per row.

    Raises:
        InvalidSolution: these are not vectors of weight w, or there are too many.
    """
    if not isinstance(vectors, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(vectors).__name__}")
    if len(vectors) > math.comb(n, w):
        raise funsearch.InvalidSolution(f"{len(vectors)} vectors; at most {math.comb(n, w)} are possible")
    for vector in vectors:
        if not isinstance(vector, tuple | list) or len(vector) != n:
            raise funsearch.InvalidSolution(f"not a vector of length {n}: {vector!r:.80}")
        if any(type(entry) is not int or not 0 <= entry <= 2 for entry in vector):
            raise funsearch.InvalidSolution(f"entries other than 0, 1, 2: {vector!r:.80}")
        if n - vector.count(0) != w:
            raise funsearch.InvalidSolution(f"{n - vector.count(0)} nonzero entries instead of {w}: {vector!r:.80}")
    return np.array(vectors, dtype=np.int64).reshape(len(vectors), n)
