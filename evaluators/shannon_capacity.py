"""Shannon capacity of cyclic graphs: verifies a candidate's independent set and scores its size.

The n-th strong power of the cyclic graph C_k has the vectors in Z_k^n as vertices; two are adjacent if they differ by
-1, 0 or 1 modulo k in each coordinate. An independent set of size s shows that the Shannon capacity of C_k is at least
s^(1 / n).

Best known sizes: C_7^5 367 (Polak and Schrijver, 2019), C_9^n for n = 3 ... 6: 81, 324, 1458, 6561 (Mathew and
Östergård, 2016), C_11^4 754 (FunSearch; 748 before), all of which FunSearch finds; and C_7^4 108 (Vesel and Žerovnik,
2002). The first program finds as many vertices as a constant priority does, floor(k / 2)^n: 81 in C_7^4, 243 in C_7^5,
64 in C_9^3, 625 in C_11^4.
"""

from typing import Any

import numpy as np

import funsearch

LARGEST = 10**6
"""Largest k^n: the skeleton lists all vertices, which is impractical beyond this."""


class ShannonCapacity(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(k, n)` by the number of its vertices."""

    inputs = {"C7_4": (7, 4)}
    heldout = {"C7_5": (7, 5), "C9_3": (9, 3), "C11_4": (11, 4)}

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns the size of the independent set that the candidate builds for `value`, a cycle and a power."""
        k, n = value
        return float(verified_size(candidate.solve(k, n), k, n))

    def draw(self, candidate: funsearch.Candidate, value: Any) -> Any:
        """Draws a table of all vertices, with the set, and the number of its vertices adjacent to each other vertex."""
        from matplotlib.figure import Figure

        k, n = value
        vertices = candidate.solve(k, n)
        size = verified_size(vertices, k, n)
        member = np.zeros((k,) * n, dtype=int)
        member[tuple(np.array(vertices, dtype=int).reshape(-1, n).T)] = 1
        near = member
        for axis in range(n):
            near = near + np.roll(near, 1, axis) + np.roll(near, -1, axis)
        rows = k ** (n // 2)
        figure = Figure(figsize=(6.4, 6), layout="constrained")
        axes = figure.add_subplot(title=f"independent set in C{k}^{n}: {size} vertices", xticks=[], yticks=[])
        table = np.where(member, np.nan, near).reshape(rows, -1)
        axes.set_facecolor("#d55e00")
        shades = axes.imshow(table, cmap="Blues", vmin=0, vmax=2**n, aspect="auto", interpolation="none")
        figure.colorbar(shades, label="adjacent vertices of the set, which is orange")
        axes.set(xlabel=f"coordinates {n // 2 + 1} to {n}", ylabel=f"coordinates 1 to {n // 2}" if n > 1 else "")
        return figure

    def check_input(self, value: Any) -> tuple[int, int]:
        """Returns the length of the cycle and the power."""
        if not isinstance(value, tuple | list) or len(value) != 2 or any(type(number) is not int for number in value):
            raise ValueError(f"{value!r:.80} is not a pair (k, n) of integers")
        k, n = value
        if not 3 <= k <= LARGEST:
            raise ValueError(f"{k!r:.80} is not a valid cycle length: give an integer of at least 3")
        # The order matters: a large power would not even be computed quickly.
        if not 1 <= n <= 20 or k**n > LARGEST:
            raise ValueError(f"{n!r:.80} is not a valid power: give a positive integer with {k}^n of at most {LARGEST}")
        return k, n


def verified_size(vertices: Any, k: int, n: int) -> int:
    """Returns the number of vertices.

    Raises:
        InvalidSolution: they are not distinct vectors of Z_k^n with no two adjacent.
    """
    if not isinstance(vertices, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(vertices).__name__}")
    if len(vertices) > k**n:
        raise funsearch.InvalidSolution(f"{len(vertices)} vertices; at most {k**n} are possible")
    for vertex in vertices:
        if not isinstance(vertex, tuple | list) or len(vertex) != n:
            raise funsearch.InvalidSolution(f"not a vector of length {n}: {vertex!r:.80}")
        if any(type(entry) is not int or not 0 <= entry < k for entry in vertex):
            raise funsearch.InvalidSolution(f"entries other than 0 ... {k - 1}: {vertex!r:.80}")
    points = np.array(vertices, dtype=np.int64).reshape(len(vertices), n)
    for index, point in enumerate(points):
        # Differences of entries modulo k, plus one: 0, 1 or 2 if the entries are adjacent or equal.
        steps = (points[:index] - point + 1) % k
        close = (steps <= 2).all(axis=1)
        if close.any():
            other = vertices[int(close.argmax())]
            fault = "a vertex occurs twice" if list(other) == list(vertices[index]) else "two vertices are adjacent"
            raise funsearch.InvalidSolution(f"{fault}: {other} and {vertices[index]}")
    return len(vertices)
