"""Cap sets: the size of the set that a candidate builds, verified here from scratch.

Best known sizes for n = 3 ... 8 (FunSearch, Table 1): 9, 20, 45, 112, 236, 512. The first program takes the vectors
without a 2 first, and finds the 2^n of them.
"""

from typing import Any

import numpy as np

import funsearch

LARGEST = 12
"""A set is built from all 3^n vectors; beyond this not even their list is practical."""


class CapSet(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(n)` by the number of its vectors."""

    inputs = {"n8": 8}
    heldout = {"n6": 6, "n7": 7}

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the size of the cap set that the candidate builds in dimension `value`."""
        return float(verified_size(candidate.solve(value), value))

    def check_input(self, value: Any) -> int:
        """Returns the dimension."""
        if type(value) is not int or not 1 <= value <= LARGEST:
            raise ValueError(f"{value!r} is no dimension: give an integer from 1 to {LARGEST}")
        return value


def verified_size(vectors: Any, n: int) -> int:
    """Returns how many vectors there are.

    Raises:
        InvalidSolution: they are not distinct vectors of F_3^n with no three on a line.
    """
    if not isinstance(vectors, list):
        raise funsearch.InvalidSolution(f"not a list but of type {type(vectors).__name__}")
    if len(vectors) > 3**n:
        raise funsearch.InvalidSolution(f"{len(vectors)} vectors, where there are only {3**n}")
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
    # Of two distinct points a and b, the third on their line is -(a + b), which is neither of them.
    for index, point in enumerate(points):
        thirds = (-(points[index + 1 :] + point) % 3) @ weights
        if member[thirds].any():
            raise funsearch.InvalidSolution(f"three vectors on a line, one of them {vectors[index]}")
    return len(vectors)
