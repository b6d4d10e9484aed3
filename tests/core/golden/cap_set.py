"""Finds large cap sets: sets of vectors in F_3^n of which no three lie on a line."""

import itertools

import numpy as np

import funsearch


@funsearch.evolve
def priority(el: tuple[int, ...], n: int) -> float:
    """Returns the priority with which to add `el` to the cap set."""
    return 0.0


def solve(n: int) -> list[tuple[int, ...]]:
    """Builds a cap set greedily, the vectors of highest priority first."""
    vectors = list(itertools.product(range(3), repeat=n))
    order = np.argsort([-priority(vector, n) for vector in vectors], kind="stable")
    chosen: list[tuple[int, ...]] = []
    blocked: set[tuple[int, ...]] = set()
    for index in order:
        vector = vectors[index]
        if vector in blocked:
            continue
        blocked |= {tuple((-a - b) % 3 for a, b in zip(vector, other)) for other in chosen}
        chosen.append(vector)
    return chosen
