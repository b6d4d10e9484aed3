"""Symmetric admissible sets: verifies a candidate's vectors and scores the size of the set that they represent.

A constant-weight admissible set A(n, w) consists of vectors in {0, 1, 2}^n with w nonzero entries, no two of them in
the same places, such that any three have a coordinate with the entries {0, 1, 2}, {0, 0, 1} or {0, 0, 2}. It has at
most C(n, w) vectors, and is called I(n, w) if it has that many. It is symmetric if each triple of coordinates
3i, 3i + 1, 3i + 2 can be rotated independently without leaving the set (FunSearch, Methods). A candidate returns one
vector of each orbit.

Best known sizes (FunSearch): I(12, 7) = 792 and I(15, 10) = 3003, which are full, A(21, 15) = 43 596,
A(24, 17) = 237 984. A constant priority gives 690 on (12, 7) and 1842 on (15, 10). The published 548 for a constant on
(12, 7) belongs to a skeleton without the symmetry, `admissible_set_full`. No symmetric set can have that size: with
weight 7, the size of each orbit is a multiple of 3. The first program takes the vectors with the most twos first and
scores 630 on (12, 7) and 1740 on (15, 10).

A set of size s implies the lower bound

    (s * (12 m * 112^(m - 1))^(n - w) * 112^(m w))^(1 / (6 m n))

on the cap set capacity, for any m >= 1, by Edel's product of the cap sets of sizes 12, 112, 112 in dimension 6 with a
recursively admissible set I(m, m - 1). This gives 2.21844 for I(12, 7) with m = 7, 2.21949 for I(15, 10) with m = 5,
and 2.22023 for A(24, 17) with m = 4.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import funsearch

LARGEST = 21
"""Largest dimension: the skeleton lists all 7^(n / 3) orbits, which is impractical beyond this."""


class AdmissibleSet(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(n, w)` by the size of the set that its vectors represent."""

    inputs = {"I12_7": (12, 7)}
    heldout = {"I15_10": (15, 10)}
    limits = funsearch.Limits(seconds=120.0)

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the size of the admissible set that the candidate builds for `value`, a dimension and a weight."""
        n, w = value
        return float(verified_size(candidate.solve(n, w), n, w))

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws the vectors that the candidate returns, one per orbit, as columns."""
        from matplotlib.colors import ListedColormap
        from matplotlib.figure import Figure

        n, w = value
        vectors = candidate.solve(n, w)
        size = verified_size(vectors, n, w)
        figure = Figure(figsize=(9, 3), layout="constrained")
        axes = figure.add_subplot(title=f"admissible set, n = {n}, w = {w}: {size} vectors in {len(vectors)} orbits")
        matrix = np.zeros((n, max(1, len(vectors))), dtype=int)
        matrix[:, : len(vectors)] = np.array(sorted(map(tuple, vectors)), dtype=int).reshape(-1, n).T
        colours = ListedColormap(["white", "#56b4e9", "#d55e00"])
        entries = axes.imshow(matrix, cmap=colours, vmin=-0.5, vmax=2.5, aspect="auto", interpolation="none")
        figure.colorbar(entries, ticks=[0, 1, 2], label="entry")
        axes.hlines(np.arange(3, n, 3) - 0.5, -0.5, len(vectors) - 0.5, color="black", linewidth=0.8)
        axes.set(xlabel="one vector of each orbit", ylabel="coordinate")
        return figure

    def check_input(self, value: Any) -> tuple[int, int]:
        """Returns the dimension and the weight."""
        if not isinstance(value, tuple | list) or len(value) != 2 or any(type(number) is not int for number in value):
            raise ValueError(f"{value!r:.80} is not a pair (n, w) of integers")
        n, w = value
        if not 3 <= n <= LARGEST or n % 3:
            raise ValueError(f"{n!r:.80} is not a valid dimension: give a multiple of 3 up to {LARGEST}")
        if not 1 <= w <= n:
            raise ValueError(f"{w!r:.80} is not a valid weight: give an integer from 1 to {n}")
        return n, w


def verified_size(vectors: Any, n: int, w: int) -> int:
    """Returns the number of vectors in the orbits of `vectors`.

    The check compares orbits, not their members. The triples can be rotated independently. So three different orbits
    have clashing members if and only if their triples have clashing rotations at every position. All other conditions
    follow, by the rules below, from the number of nonzero entries in each triple, the profile:

    - Members of one orbit are nonzero in different places, and any three of them have a coordinate that distinguishes
      them: at a position where they differ, one is zero where the other is not, or all three rotations occur.
    - Members of two orbits can be nonzero in the same places if and only if the profiles are equal. If the profiles
      differ, then, because both sum to w, the first has fewer nonzero entries than the second at some position, and
      more at another. At the former, no two members of the first clash with a member of the second, as
      `clashing_triples` shows for each of the few cases; at the latter, no two of the second clash with one of the
      first.

    Raises:
        InvalidSolution: these are not vectors of weight w, or the union of their orbits is not an admissible set.
    """
    orbits = read_triples(vectors, n, w)
    profiles = NONZERO[orbits]
    _, counts = np.unique(profiles, axis=0, return_counts=True)
    if (counts > 1).any():
        raise funsearch.InvalidSolution("two vectors are nonzero in the same places after rotation")
    clashes = clashing_triples()
    for index in range(2, len(orbits)):
        # One position at a time, for all pairs of earlier orbits.
        clashing = np.ones((index, index), dtype=bool)
        for position, triple in enumerate(orbits[index]):
            before = orbits[:index, position]
            clashing &= clashes[triple][before[:, None], before]
        np.fill_diagonal(clashing, False)
        if clashing.any():
            raise funsearch.InvalidSolution(f"three orbits clash, including the orbit of {vectors[index]}")
    return int(ROTATIONS[orbits].prod(axis=1).sum())


def read_triples(vectors: Any, n: int, w: int) -> NDArray[np.int64]:
    """Returns the triples of the vectors, one vector per row; a triple is the number with these ternary digits.

    Raises:
        InvalidSolution: these are not vectors of weight w, or a vector clashes with its own rotations.
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
    triples: NDArray[np.int64] = np.array(vectors, dtype=np.int64).reshape(len(vectors), n // 3, 3) @ PLACES
    self_clashing = ~ADMITTED[triples].all(axis=1)
    if self_clashing.any():
        raise funsearch.InvalidSolution(
            f"a vector clashes with its own rotations: {vectors[int(self_clashing.argmax())]}"
        )
    return triples


PLACES = np.array([9, 3, 1])
DIGITS = np.arange(27)[:, None] // PLACES % 3
"""All triples: row i has the ternary digits of i."""

NONZERO = np.count_nonzero(DIGITS, axis=1)
CONSTANT = (DIGITS[:, :1] == DIGITS).all(axis=1)
ROTATIONS = np.where(CONSTANT, 1, 3)
"""Number of different rotations of each triple."""

ADMITTED = CONSTANT | (NONZERO == 1) | (np.sort(DIGITS, axis=1) == [0, 1, 2]).all(axis=1)
"""The rotations of other triples are nonzero in the same places (1, 1, 2), or clash (0, 1, 1)."""


def clashing_triples() -> NDArray[np.bool_]:
    """Returns, for any three of the 27 triples, whether some rotations have no coordinate that distinguishes them."""
    distinguishes = np.zeros((3, 3, 3), dtype=bool)
    for entries in np.ndindex(distinguishes.shape):
        distinguishes[entries] = sorted(entries) in ([0, 1, 2], [0, 0, 1], [0, 0, 2])
    clashes = np.zeros((27, 27, 27), dtype=bool)
    first = DIGITS[:, None, None]
    for shift in range(3):
        second = np.roll(DIGITS, shift, axis=1)[:, None]
        for other_shift in range(3):
            third = np.roll(DIGITS, other_shift, axis=1)
            clashes |= ~distinguishes[first, second, third].any(axis=-1)
    return clashes
