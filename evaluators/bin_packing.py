"""Online bin packing: items arrive one by one, and a candidate assigns priorities to the bins for each of them.

The simulation runs here; a candidate is called for each item and never sees future items. It is given the room left in
the open bins that can hold the item, in the order in which they were opened, and an unopened bin last. The item goes
into the bin with the highest priority, the first one if several are equal. The instances of an input are simulated side
by side, one item of each at a time. This takes a fraction of the calls and reveals no future item of any instance.

A score is minus the excess over the L1 bound ceil(sum of items / capacity), in percent, as a ratio of means over the
instances of an input (FunSearch, Table 2).
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import funsearch


@dataclass(frozen=True)
class Instance:
    """A capacity, and the items in the order of arrival."""

    capacity: float
    items: tuple[float, ...]

    @cached_property
    def bound(self) -> int:
        """The L1 bound: no packing has fewer bins."""
        return math.ceil(math.fsum(self.items) / self.capacity)


def or_like(instances: int, items: int, seed: int) -> list[Instance]:
    """Returns instances generated like those of the OR-Library: integers uniform in [20, 100], capacity 150."""
    rng = np.random.default_rng(seed)
    draws = [rng.integers(20, 101, items) for _ in range(instances)]
    return [Instance(150.0, tuple(draw.astype(float).tolist())) for draw in draws]


def weibull_like(instances: int, items: int, seed: int) -> list[Instance]:
    """Returns instances of 45 x Weibull(3), clipped to [1, 100] and rounded, capacity 100 (FunSearch, Methods)."""
    rng = np.random.default_rng(seed)
    draws = [np.rint(np.clip(45 * rng.weibull(3, items), 1, 100)) for _ in range(instances)]
    return [Instance(100.0, tuple(draw.tolist())) for draw in draws]


class BinPacking(funsearch.ProblemEvaluator):
    """Scores a candidate's `priority(item, bins)` by the number of bins it needs above the bound."""

    # Both kinds: the best rule for Weibull-like instances alone is often worse than best fit on OR-like ones.
    inputs = {"or": or_like(2, 500, seed=1), "weibull": weibull_like(2, 500, seed=2)}
    selection = {"or": or_like(8, 500, seed=51), "weibull": weibull_like(4, 1000, seed=52)}
    heldout = {
        "or250": or_like(20, 250, seed=101),
        "or500": or_like(20, 500, seed=102),
        "weibull5k": weibull_like(5, 5000, seed=103),
    }
    reduction = "mean"
    limits = funsearch.Limits(seconds=20.0)
    baselines = {
        "first fit": "def priority(item, bins):\n    return -np.arange(len(bins))\n",
        "best fit": "def priority(item, bins):\n    return item - bins\n",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Sequence[Instance]) -> float:
        """Returns minus the excess over the bound, in percent, over the instances of `value`."""
        bins = bins_needed(candidate, value)
        bound = sum(instance.bound for instance in value)
        return -100.0 * (bins - bound) / bound

    def draw(self, candidate: funsearch.Candidate, value: Sequence[Instance]) -> Any:
        """Draws the packing of the first instance of `value`: the bins in the order of opening, with their items."""
        from matplotlib import colormaps
        from matplotlib.figure import Figure

        instance = value[0]
        bins = packed(candidate, instance)
        excess = 100.0 * (len(bins) - instance.bound) / instance.bound
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        title = (
            f"{len(instance.items)} items, instance 1 of {len(value)}: {len(bins)} bins, {excess:.2f} % above the bound"
        )
        axes = figure.add_subplot(title=title, xlim=(-1, len(bins)), ylim=(0, instance.capacity))
        for layer in range(max(map(len, bins))):
            tops = [(place, sum(items[:layer]), items[layer]) for place, items in enumerate(bins) if layer < len(items)]
            places, bottoms, sizes = zip(*tops, strict=True)
            axes.bar(places, sizes, bottom=bottoms, width=1, color=colormaps["cividis"](0.2 * (layer % 5) + 0.1))
        axes.set(xlabel="bin", ylabel="size")
        return figure

    def read_input(self, text: str) -> Any:
        """Returns the parsed text, which is JSON or in the OR-Library's format."""
        return json.loads(text) if text.lstrip()[:1] in ("{", "[") else read_or_library(text)

    def check_input(self, value: Any) -> list[Instance]:
        """Returns the instances of {"capacity": ..., "items": [...]}, or of a list of those."""
        values = value if isinstance(value, list | tuple) else [value]
        if not values:
            raise ValueError("it contains no instances")
        return [item if isinstance(item, Instance) else read_instance(item) for item in values]


class Packing:
    """The bins of one instance while its items arrive."""

    def __init__(self, instance: Instance) -> None:
        self.items = instance.items
        self.opened = 0
        self._smallest = min(instance.items)
        self._capacity = instance.capacity
        self._room = np.full(len(instance.items) + 1, instance.capacity)
        """Room left in the bins that can hold some item, in the order of opening; an unopened bin last."""
        self._count = 1
        """Number of these bins."""
        self._fitting = np.empty(0, int)

    def room_for(self, item: float) -> np.ndarray:
        """Returns the room left in the bins that can hold the item."""
        # Takes less than half the time of np.flatnonzero and a comparison with a Python number.
        self._fitting = (self._room[: self._count] >= np.asarray(item)).nonzero()[0]
        return self._room[self._fitting]

    def put(self, item: float, priorities: Any) -> None:
        """Puts the item into the bin with the highest priority.

        Raises:
            InvalidSolution: the priorities are not one number for each bin.
        """
        chosen = self._fitting.item(preferred(priorities, len(self._fitting)))
        rest = self._room.item(chosen) - item
        if chosen == self._count - 1:
            self.opened += 1
            self._room[self._count] = self._capacity
            self._count += 1
        if rest >= self._smallest:
            self._room[chosen] = rest
        else:
            self._count -= 1
            self._room[chosen : self._count] = self._room[chosen + 1 : self._count + 1]


def bins_needed(candidate: funsearch.Candidate, instances: Sequence[Instance]) -> int:
    """Returns the number of bins that the candidate's choices need for all instances, simulated side by side.

    Raises:
        InvalidSolution: the candidate does not return one number for each bin.
    """
    packings = [Packing(instance) for instance in instances]
    for step in range(max(len(packing.items) for packing in packings)):
        active = [packing for packing in packings if step < len(packing.items)]
        items = [packing.items[step] for packing in active]
        bins = [packing.room_for(item) for packing, item in zip(active, items, strict=True)]
        answers = candidate.priority.map(items, bins)
        for packing, item, answer in zip(active, items, answers, strict=True):
            packing.put(item, answer)
    return sum(packing.opened for packing in packings)


def packed(candidate: funsearch.Candidate, instance: Instance) -> list[list[float]]:
    """Returns the items of each bin that the candidate's choices open.

    Raises:
        InvalidSolution: the candidate does not return one number for each bin.
    """
    room = np.full(len(instance.items) + 1, instance.capacity)
    bins: list[list[float]] = []
    for item in instance.items:
        fitting = np.flatnonzero(room[: len(bins) + 1] >= item)
        chosen = int(fitting[preferred(candidate.priority(item, room[fitting]), len(fitting))])
        room[chosen] -= item
        if chosen == len(bins):
            bins.append([])
        bins[chosen].append(item)
    return bins


def preferred(priorities: Any, count: int) -> int:
    """Returns the index of the highest priority, the first one if several are equal. Infinities are allowed.

    Raises:
        InvalidSolution: these are not `count` real numbers.
    """
    try:
        values = np.asarray(priorities)
    except ValueError:  # lists of lists of different lengths
        raise funsearch.InvalidSolution(f"priorities of inconsistent shape for {count} bins") from None
    if values.shape != (count,):
        raise funsearch.InvalidSolution(f"priorities of shape {values.shape} for {count} bins")
    if values.dtype.kind not in "biuf":
        raise funsearch.InvalidSolution(f"priorities that are not real numbers: {priorities!r:.80}")
    index = int(values.argmax())
    best = values.item(index)
    if best != best:  # argmax stops at the first NaN
        raise funsearch.InvalidSolution("a priority is NaN")
    return index


def read_instance(value: Any) -> Instance:
    """Returns the instance that a mapping with `capacity` and `items` describes.

    Raises:
        ValueError: it does not describe an instance, or an item does not fit into an empty bin.
    """
    if not isinstance(value, Mapping) or not {"capacity", "items"} <= value.keys():
        raise ValueError(f'an instance is {{"capacity": ..., "items": [...]}}, not {value!r:.80}')
    capacity, items = value["capacity"], value["items"]
    if not is_size(capacity):
        raise ValueError(f"the capacity {capacity!r:.80} is not a positive number")
    if not isinstance(items, list | tuple) or not items:
        raise ValueError(f"the items {items!r:.80} are not a list of positive numbers")
    for item in items:
        if not is_size(item):
            raise ValueError(f"the item {item!r:.80} is not a positive number")
        if item > capacity:
            raise ValueError(f"an item of size {item:g} does not fit into a bin of {capacity:g}")
    return Instance(float(capacity), tuple(float(item) for item in items))


def is_size(value: Any) -> bool:
    """Returns whether a value is a positive finite number."""
    return type(value) in (int, float) and 0 < value < math.inf


def read_or_library(text: str) -> list[dict[str, Any]]:
    """Returns the instances of an OR-Library file: their number, then a name, `capacity items best` and items for each.

    Raises:
        ValueError: the text does not have that format.
    """
    words = iter(text.split())
    try:
        instances = []
        for _ in range(_count(words, "the number of instances")):
            name = next(words)
            capacity = _number(words, f"the capacity of {name}")
            count = _count(words, f"the number of items of {name}")
            _number(words, f"the best known number of bins of {name}")
            items = [_number(words, f"an item of {name}") for _ in range(count)]
            instances.append({"capacity": capacity, "items": items})
    except StopIteration:
        raise ValueError(
            "it ends before its last instance is complete; is it JSON or in the OR-Library's format?"
        ) from None
    extra = next(words, None)
    if extra is not None:
        raise ValueError(f"text follows the last instance: {extra!r:.40}")
    return instances


def _number(words: Iterator[str], what: str) -> float:
    word = next(words)
    try:
        return float(word)
    except ValueError:
        raise ValueError(
            f"{word!r:.40} is not {what}; the file is neither JSON nor in the OR-Library's format"
        ) from None


def _count(words: Iterator[str], what: str) -> int:
    word = next(words)
    if not word.isdecimal():
        raise ValueError(f"{word!r:.40} is not {what}; the file is neither JSON nor in the OR-Library's format")
    return int(word)
