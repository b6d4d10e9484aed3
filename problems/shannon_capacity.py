"""Finds large independent sets in the n-th strong power of the cyclic graph C_k.

Its vertices are the vectors in Z_k^n; two are adjacent if they differ by -1, 0 or 1 modulo k in each coordinate.
"""

import itertools

import numpy as np

import funsearch


def solve(k: int, n: int) -> list[tuple[int, ...]]:
    """Returns an independent set: adds the vertices by descending priority, except neighbours of chosen ones."""
    vertices = list(itertools.product(range(k), repeat=n))
    priorities = np.array([priority(vertex, k, n) for vertex in vertices], dtype=float)
    steps = np.array(list(itertools.product((-1, 0, 1), repeat=n)))
    weights = k ** np.arange(n)[::-1]
    blocked = np.zeros(len(vertices), dtype=bool)
    chosen = []
    for index in np.argsort(-priorities, kind="stable").tolist():
        if not blocked[index]:
            blocked[(steps + vertices[index]) % k @ weights] = True
            chosen.append(vertices[index])
    return chosen


@funsearch.evolve
def priority(el: tuple[int, ...], k: int, n: int) -> float:
    """Returns the priority with which to add the vertex `el` to the independent set in the power `n` of C_k."""
    total = sum(el)
    return float(total)
