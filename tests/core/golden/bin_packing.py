"""Packs items into bins as they come.

The items arrive one by one and stay where they are put.
"""

from funsearch import evolve
import numpy as np

CAPACITY = 10


def fits(item: int, bins: np.ndarray) -> np.ndarray:
    """Returns the indices of the bins with room for the item."""
    return np.nonzero(bins >= item)[0]


EMPTY = np.full(20, CAPACITY)


class Packing:
    """The bins as they fill up."""

    def __init__(self):
        self.bins = EMPTY.copy()

    def put(self, item):
        possible = fits(item, self.bins)
        best = possible[np.argmax(priority(item, self.bins[possible]))]
        self.bins[best] -= item


TALLEST = CAPACITY // 2


# The heuristic that evolves.
@evolve
def priority(
    item: int,
    bins: np.ndarray,  # remaining capacities
) -> np.ndarray:
    """Returns how well each bin suits the item.

    Args:
      item: size of the item
      bins: capacities of the bins it fits into
    """
    # Best fit,
    #   with a twist for tall items.
    if item > TALLEST:
        return -(bins - item)
    return -(bins - item) / CAPACITY


WEIGHTS = (1, 2)


def solve(items):
    packing = Packing()
    for item in items:
        packing.put(item)
    return int((packing.bins != CAPACITY).sum()) * WEIGHTS[0]
