"""Finds large Sidon sets: subsets of {1, ..., n} in which all sums of two elements, equal or not, are distinct."""

import numpy as np

import funsearch


def solve(n: int) -> list[int]:
    """Returns a Sidon set: adds the numbers by descending priority, except those that repeat a difference."""
    priorities = np.array([priority(x, n) for x in range(1, n + 1)], dtype=float)
    used = np.zeros(n, dtype=bool)
    chosen: list[int] = []
    for x in (np.argsort(-priorities, kind="stable") + 1).tolist():
        # Sums are distinct if and only if differences are: a + b = c + d is equivalent to a - c = d - b.
        differences = np.abs(np.array(chosen, dtype=int) - x)
        if not used[differences].any() and len(np.unique(differences)) == len(differences):
            used[differences] = True
            chosen.append(x)
    return chosen


@funsearch.evolve
def priority(x: int, n: int) -> float:
    """Returns the priority with which to add `x` to the Sidon subset of {1, ..., `n`}."""
    edge = min(x - 1, n - x)
    return -float(edge)
