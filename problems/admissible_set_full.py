"""Finds large admissible sets: vectors in {0, 1, 2}^n with w nonzero entries, no two in the same places.

Any three vectors have a coordinate with the entries {0, 1, 2}, {0, 0, 1} or {0, 0, 2}.
"""

import numpy as np

import funsearch


def solve(n: int, w: int) -> list[tuple[int, ...]]:
    """Returns the set: adds the vectors by descending priority, except those that clash."""
    vectors = all_vectors(n, w)
    powers = 3 ** np.arange(n)[::-1]
    places = (vectors != 0) @ 2 ** np.arange(n)
    priorities = np.array([priority(tuple(vector), n, w) for vector in vectors.tolist()], dtype=float)
    free = np.zeros(3**n, dtype=bool)
    free[vectors @ powers] = True
    chosen: list[np.ndarray] = []
    for index in np.argsort(-priorities, kind="stable"):
        new = vectors[index]
        if free[new @ powers]:
            free[vectors[places == places[index]] @ powers] = False
            for old in chosen:
                free[clashing(old, new, powers)] = False
            chosen.append(new)
    return [tuple(vector.tolist()) for vector in chosen]


def all_vectors(n: int, w: int) -> np.ndarray:
    """Returns the vectors of weight w, in lexicographic order."""
    vectors = np.zeros((1, 0), dtype=np.int64)
    for place in range(n):
        vectors = np.repeat(vectors, 3, axis=0)
        vectors = np.column_stack([vectors, np.tile([0, 1, 2], len(vectors) // 3)])
        weights = np.count_nonzero(vectors, axis=1)
        vectors = vectors[(weights <= w) & (weights + n - place - 1 >= w)]
    return vectors


def clashing(first: np.ndarray, second: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """Returns the vectors that clash with two different vectors, as ternary numbers.

    A vector clashes if each of its entries has the following value: the sum of the two entries where at least one of
    them is zero, any value where they are equal and nonzero, and 1 or 2 elsewhere.
    """
    both = (first != 0) & (second != 0)
    numbers = np.array([(first + second)[~both] @ powers[~both]])
    for power, equal in zip(powers[both].tolist(), (first == second)[both].tolist(), strict=True):
        entries = (0, 1, 2) if equal else (1, 2)
        numbers = np.concatenate([numbers + entry * power for entry in entries])
    return numbers


@funsearch.evolve
def priority(el: tuple[int, ...], n: int, w: int) -> float:
    """Returns the priority with which to add `el`, of weight `w`, to the set in dimension `n`."""
    return 0.0
