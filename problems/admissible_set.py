"""Finds large admissible sets: vectors in {0, 1, 2}^n with w nonzero entries, no two in the same places.

Any three vectors have a coordinate with the entries {0, 1, 2}, {0, 0, 1} or {0, 0, 2}. For each vector, the set
contains all vectors that result from rotating its entries 3i, 3i + 1, 3i + 2, for any i.
"""

import itertools

import numpy as np

import funsearch


def solve(n: int, w: int) -> list[tuple[int, ...]]:
    """Returns one vector of each chosen orbit: adds the orbits by descending priority, except those that clash."""
    weights = np.array([np.count_nonzero(triple) for triple in TRIPLES])
    orbits = np.array(list(itertools.product(range(len(TRIPLES)), repeat=n // 3)))
    orbits = orbits[weights[orbits].sum(axis=1) == w]
    vectors = [tuple(itertools.chain.from_iterable(TRIPLES[i] for i in orbit)) for orbit in orbits.tolist()]
    priorities = np.array([priority(vector, n, w) for vector in vectors], dtype=float)
    clashes = clashing_triples()
    remaining = np.argsort(-priorities, kind="stable")
    chosen: list[int] = []
    while len(remaining):
        new = int(remaining[0])
        # Two orbits with the same number of nonzero entries in each triple can be rotated into the same places.
        remaining = remaining[(weights[orbits[remaining]] != weights[orbits[new]]).any(axis=1)]
        for old in chosen:
            remaining = remaining[~clashes[orbits[old], orbits[new], orbits[remaining]].all(axis=1)]
        chosen.append(new)
    return [vectors[index] for index in chosen]


# One triple per rotation class. Orbits with any other triple contain vectors that clash with each other.
TRIPLES = ((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 2), (0, 2, 1), (1, 1, 1), (2, 2, 2))


def clashing_triples() -> np.ndarray:
    """Returns, for any three triples, whether some rotations of them have no coordinate of the required kind."""
    needed = {(0, 1, 2), (0, 0, 1), (0, 0, 2)}
    turns = [[triple[i:] + triple[:i] for i in range(3)] for triple in TRIPLES]
    clashes = np.zeros((len(TRIPLES),) * 3, dtype=bool)
    for a, b, c in np.ndindex(clashes.shape):
        clashes[a, b, c] = any(
            all(tuple(sorted(column)) not in needed for column in zip(TRIPLES[a], second, third, strict=True))
            for second, third in itertools.product(turns[b], turns[c])
        )
    return clashes


@funsearch.evolve
def priority(el: tuple[int, ...], n: int, w: int) -> float:
    """Returns the priority with which to add `el`, of weight `w`, with its rotations to the set in dimension `n`."""
    twos = el.count(2)
    return float(twos)
