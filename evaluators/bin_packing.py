"""Online bin packing: items come one by one, and a candidate says which bin it would rather put each into.

The simulation runs here; a candidate is asked for each item on its own and never sees the items to come. It is shown
the room left in the open bins that can hold the item, in the order of their opening, and an unopened bin last.

A score is minus the excess over the L1 bound ceil(sum of items / capacity), in percent, as a ratio of means over the
instances of an input (FunSearch, Table 2).
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

import funsearch


@dataclass(frozen=True)
class Instance:
    """A capacity and the items in the order of their coming."""

    capacity: float
    items: tuple[float, ...]

    def bound(self) -> int:
        """Returns the L1 bound: no packing has fewer bins."""
        return int(np.ceil(sum(self.items) / self.capacity))


def or_like(instances: int, items: int, seed: int) -> list[Instance]:
    """Returns instances by the recipe of the OR-Library's sets: integers uniform in [20, 100], capacity 150."""
    rng = np.random.default_rng(seed)
    return [Instance(150, tuple(rng.integers(20, 101, items).tolist())) for _ in range(instances)]


def weibull_like(instances: int, items: int, seed: int) -> list[Instance]:
    """Returns instances of 45 x Weibull(3), clipped to [1, 100] and rounded, capacity 100 (FunSearch, Methods)."""
    rng = np.random.default_rng(seed)
    draws = [np.rint(np.clip(45 * rng.weibull(3, items), 1, 100)) for _ in range(instances)]
    return [Instance(100, tuple(int(item) for item in draw)) for draw in draws]


class BinPacking(funsearch.ProblemEvaluator):
    """Scores a candidate's `priority(item, bins)` by the bins it needs above the bound."""

    inputs = {"or250": or_like(4, 250, seed=1), "weibull1k": weibull_like(3, 1000, seed=2)}
    heldout = {
        "or250": or_like(20, 250, seed=101),
        "or500": or_like(20, 500, seed=102),
        "weibull5k": weibull_like(5, 5000, seed=103),
    }
    reduction = "mean"
    baselines = {
        "first fit": "def priority(item, bins):\n    return -np.arange(len(bins))\n",
        "best fit": "def priority(item, bins):\n    return item - bins\n",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Any) -> float:
        """Returns minus the excess over the bound, in percent, over the instances of `value`."""
        instances = as_instances(value)
        bins = sum(bins_needed(candidate, instance) for instance in instances)
        bound = sum(instance.bound() for instance in instances)
        return -100.0 * (bins - bound) / bound

    def read_input(self, text: str) -> Any:
        """Returns instances from JSON or from the OR-Library's layout."""
        return read_json(text) if text.lstrip()[:1] in ("{", "[") else read_or_library(text)


def bins_needed(candidate: funsearch.Candidate, instance: Instance) -> int:
    """Returns how many bins the candidate's choices need.

    Raises:
        InvalidSolution: it does not return one number for each bin.
    """
    room = np.full(len(instance.items) + 1, float(instance.capacity))
    opened = 0
    for item in instance.items:
        fitting = np.flatnonzero(room[: opened + 1] >= item)
        bins = room[fitting]
        chosen = fitting[best(candidate.priority(item, bins), len(bins))]
        room[chosen] -= item
        opened += int(chosen == opened)
    return opened


def best(priorities: Any, count: int) -> int:
    """Returns the index of the highest priority, the first of equals.

    Raises:
        InvalidSolution: these are not `count` real numbers.
    """
    try:
        values = np.asarray(priorities, dtype=float)
    except (TypeError, ValueError):
        raise funsearch.InvalidSolution(f"priorities that are no numbers: {priorities!r:.80}") from None
    if values.shape != (count,):
        raise funsearch.InvalidSolution(f"priorities of shape {values.shape} for {count} bins")
    index = int(values.argmax())
    if np.isnan(values[index]):  # argmax stops at the first NaN
        raise funsearch.InvalidSolution("a priority is NaN")
    return index


def as_instances(value: Any) -> list[Instance]:
    """Returns instances from what an input holds: instances, or dicts with `capacity` and `items`."""
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise ValueError("no instances")
    return [one if isinstance(one, Instance) else instance(one["capacity"], one["items"]) for one in values]


def instance(capacity: Any, items: Any) -> Instance:
    """Returns a checked instance.

    Raises:
        ValueError: an item does not fit into an empty bin, or something is no positive number.
    """
    made = Instance(float(capacity), tuple(float(item) for item in items))
    if not made.items or not made.capacity > 0:
        raise ValueError(f"an instance needs items and a positive capacity, not {capacity!r}")
    wrong = [item for item in made.items if not 0 < item <= made.capacity]
    if wrong:
        raise ValueError(f"an item of size {wrong[0]:g} does not fit into a bin of {made.capacity:g}")
    return made


def read_json(text: str) -> list[Instance]:
    """Returns the instances of {"capacity": ..., "items": [...]} or of a list of those."""
    return as_instances(json.loads(text))


def read_or_library(text: str) -> list[Instance]:
    """Returns the instances of a file of the OR-Library: count; for each a name, `capacity items best`, the items.

    Raises:
        ValueError: the text is not of that layout.
    """
    words = text.split()
    try:
        count, at, instances = int(words[0]), 1, []
        for _ in range(count):
            name, capacity, items = words[at], float(words[at + 1]), int(words[at + 2])
            sizes = words[at + 4 : at + 4 + items]
            if len(sizes) != items:
                raise ValueError(f"{name} announces {items} items and has {len(sizes)}")
            instances.append(instance(capacity, sizes))
            at += 4 + items
    except IndexError:
        raise ValueError("it ends before the last instance; is it in the OR-Library's layout?") from None
    if at != len(words):
        raise ValueError(f"{len(words) - at} words follow the last instance")
    return instances
