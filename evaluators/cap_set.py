"""Cap sets: verifies the set that a candidate builds and scores its size.

Best known sizes for n = 3 ... 8 (FunSearch, Table 1): 9, 20, 45, 112, 236, 512. The first program takes the vectors
without a 2 first; there are 2^n of them, and it finds no others.
"""

from typing import Any

import numpy as np

import funsearch

LARGEST = 12
"""Largest dimension: the skeleton lists all 3^n vectors, which is impractical beyond this."""


class CapSet(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(n)` by the number of its vectors."""

    inputs = {"n8": 8}
    heldout = {"n6": 6, "n7": 7}

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the size of the cap set that the candidate builds in dimension `value`."""
        return float(verified_size(candidate.solve(value), value))

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws the set in a square of all vectors: entries 1, 3, ... give the column, entries 2, 4, ... the row."""
        from matplotlib.figure import Figure

        vectors = candidate.solve(value)
        size = verified_size(vectors, value)
        across, down = (value + 1) // 2, value // 2
        square = np.zeros((3**down, 3**across))
        for vector in vectors:
            square[place(vector[1::2]), place(vector[::2])] = 1
        figure = Figure(figsize=(6, 6.4 if across == down else 2.6), layout="constrained")
        axes = figure.add_subplot(title=f"cap set in dimension {value}: {size} vectors", xticks=[], yticks=[])
        axes.imshow(square, cmap="Blues", vmin=0, vmax=1.2, interpolation="none")
        for level in range(max(0, across - 3), across):
            lines, width = np.arange(3**level, 3**across, 3**level) - 0.5, 0.4 * (level - across + 3) + 0.3
            axes.vlines(lines, -0.5, 3**down - 0.5, color="grey", linewidth=width)
            axes.hlines(lines[lines < 3**down - 1], -0.5, 3**across - 0.5, color="grey", linewidth=width)
        return figure

    def check_input(self, value: Any) -> int:
        """Returns the dimension."""
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise ValueError(f"{value!r} is not a valid dimension: give an integer from 1 to {LARGEST}")
        return value


def place(entries: Any) -> int:
    """Returns the number with these ternary digits."""
    return int("0" + "".join(map(str, entries)), 3)


def verified_size(vectors: Any, n: int) -> int:
    """Returns the number of vectors.

    Raises:
        InvalidSolution: they are not distinct vectors of F_3^n with no three on a line.
    """
    if not isinstance(vectors, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(vectors).__name__}")
    if len(vectors) > 3**n:
        raise funsearch.InvalidSolution(f"{len(vectors)} vectors; at most {3**n} are possible")
    for vector in vectors:
        if not isinstance(vector, tuple | list) or len(vector) != n:
            raise funsearch.InvalidSolution(f"not a vector of length {n}: {vector!r:.80}")
        if any(type(entry) is not int or not 0 <= entry <= 2 for entry in vector):
            raise funsearch.InvalidSolution(f"entries other than 0, 1, 2: {vector!r:.80}")
    points = np.array(vectors, dtype=np.int64).reshape(len(vectors), n)
    weights = 3 ** np.arange(n)
    member = np.zeros(3**n, dtype=bool)
    member[points @ weights] = True
    if np.count_nonzero(member) != len(vectors):
        raise funsearch.InvalidSolution("a vector occurs twice")
    # The third point on the line through two distinct points a and b is -(a + b), which differs from both.
    for index, point in enumerate(points):
        thirds = (-(points[index + 1 :] + point) % 3) @ weights
        if member[thirds].any():
            raise funsearch.InvalidSolution(f"three vectors are on a line, including {vectors[index]}")
    return len(vectors)
