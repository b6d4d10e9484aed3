"""Packs items that come one by one into a knapsack so that their total value is large; refused items are gone."""

import numpy as np

import funsearch


@funsearch.evolve
def accept(value: float, weight: float, room: float, capacity: float, left: int) -> bool:
    """Returns whether to pack an item, which fits into the `room` left of `capacity`; `left` more items will come."""
    advantage = np.log(value / weight)
    return bool(advantage > 0.0)
