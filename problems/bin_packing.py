"""Packs items that arrive one by one into as few bins as possible."""

import numpy as np

import funsearch


@funsearch.evolve
def priority(item: float, bins: np.ndarray) -> np.ndarray:
    """Returns the priority of putting `item` into each of `bins`, given by the room left in them."""
    gap = bins - item
    score = np.where(gap < 1, 1, -gap)
    return score
