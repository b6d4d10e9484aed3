"""Finds large cap sets: sets of vectors in F_3^n with no three on a line."""

import itertools

import numpy as np

import funsearch


def solve(n: int) -> list[tuple[int, ...]]:
    """Returns a cap set: adds the vectors by descending priority, except those that complete a line."""
    vectors = list(itertools.product(range(3), repeat=n))
    priorities = np.array([priority(vector, n) for vector in vectors], dtype=float)
    points = np.array(vectors)
    weights = 3 ** np.arange(n)[::-1]
    blocked = np.zeros(len(vectors), dtype=bool)
    chosen: list[int] = []
    for index in np.argsort(-priorities, kind="stable").tolist():
        if not blocked[index]:
            # The third point on the line through a and b is -(a + b).
            blocked[(-points[chosen] - points[index]) % 3 @ weights] = True
            chosen.append(index)
    return [vectors[index] for index in chosen]


@funsearch.evolve
def priority(el: tuple[int, ...], n: int) -> float:
    """Returns the priority with which to add the vector `el` to the cap set in dimension `n`."""
    twos = el.count(2)
    return float(twos == 0)
