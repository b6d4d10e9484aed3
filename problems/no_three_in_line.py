"""Finds large sets of points of an n x n grid with no three on a line of any slope."""

import numpy as np

import funsearch


def solve(n: int) -> list[tuple[int, int]]:
    """Returns such a set: adds the points by descending priority, except those on a line with two chosen ones."""
    points = [(x, y) for x in range(n) for y in range(n)]
    priorities = np.array([priority(x, y, n) for x, y in points], dtype=float)
    grid = np.array(points)
    blocked = np.zeros(n * n, dtype=bool)
    chosen: list[int] = []
    for index in np.argsort(-priorities, kind="stable").tolist():
        if not blocked[index]:
            # Relative to the new point, points on a line with a chosen one have cross product 0 with it.
            (dx, dy), (x, y) = (grid[chosen] - grid[index]).T, (grid - grid[index]).T
            blocked |= (np.outer(dx, y) == np.outer(dy, x)).any(axis=0)
            chosen.append(index)
    return [points[index] for index in chosen]


@funsearch.evolve
def priority(x: int, y: int, n: int) -> float:
    """Returns the priority with which to add the point (`x`, `y`), each from 0 to `n` - 1, to the set."""
    middle = (n - 1) / 2
    return -abs(x - middle) - abs(y - middle)
