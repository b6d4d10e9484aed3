"""Online knapsack: items arrive one by one, and a candidate decides for each whether to pack it.

The simulation runs here. A candidate is called for each item that still fits. It never sees future items, only how many
there are, and an item that it rejects is lost. The instances of an input are simulated side by side, one item of each
at a time. This takes a fraction of the calls and reveals no future item of any instance.

A score is the packed value in percent of Dantzig's bound, which packs items by descending density and cuts the last
one: the mean over the instances of an input. No program knows future items, so 100 is out of reach, and the best
possible score is not known. Policies that know the distribution lose a value of order log n on n items (Lueker, 1998),
which is a few percent here. Scores:

    input               uncorrelated   weakly
    first program            76.7       88.2    densities above 1
    accept everything        44.6       75.3    every item that fits
    rising threshold         69.5       57.8    best in the worst case: Zhou, Chakrabarty and Lukose (2008)
    fluid threshold          97.6       96.2    packs the densest share of future items that is expected to fit
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import funsearch

SHARES = (0.1, 0.25, 0.5)
"""Capacities as shares of the expected weight of all items; the instances of an input take them in turn."""
SMALLEST, LARGEST = 1e-9, 1e12
"""Bounds of a capacity, a value and a weight in a user's input."""


@dataclass(frozen=True)
class Instance:
    """A capacity, and the items as pairs of value and weight in the order of arrival."""

    capacity: float
    items: tuple[tuple[float, float], ...]

    @cached_property
    def bound(self) -> float:
        """Dantzig's bound: no packing is worth more."""
        room, values = self.capacity, []
        for value, weight in sorted(self.items, key=lambda item: item[0] / item[1], reverse=True):
            part = min(1.0, room / weight)
            values.append(value * part)
            room -= weight * part
            if part < 1:
                break
        return math.fsum(values)


def uncorrelated(instances: int, items: int, seed: int) -> list[Instance]:
    """Returns instances with integer values and weights uniform in [1, 100] (Pisinger's first class)."""
    rng = np.random.default_rng(seed)
    draws = [(rng.integers(1, 101, items), rng.integers(1, 101, items)) for _ in range(instances)]
    return [with_share(index, values, weights) for index, (values, weights) in enumerate(draws)]


def weakly_correlated(instances: int, items: int, seed: int) -> list[Instance]:
    """Returns instances with integer weights uniform in [1, 100] and values that differ from them by up to 20."""
    rng = np.random.default_rng(seed)
    created = []
    for index in range(instances):
        weights = rng.integers(1, 101, items)
        created.append(with_share(index, np.maximum(1, weights + rng.integers(-20, 21, items)), weights))
    return created


def with_share(index: int, values: np.ndarray, weights: np.ndarray) -> Instance:
    """Returns instance number `index` of an input, with these items and a capacity that depends on the number."""
    capacity = round(SHARES[index % len(SHARES)] * 50.5 * len(weights))
    pairs = zip(values.astype(float).tolist(), weights.astype(float).tolist(), strict=True)
    return Instance(float(capacity), tuple(pairs))


class KnapsackOnline(funsearch.ProblemEvaluator):
    """Scores a candidate's `accept(...)` by the value that it packs."""

    inputs = {"uncorrelated": uncorrelated(6, 200, seed=1), "weakly": weakly_correlated(6, 200, seed=2)}
    selection = {"uncorrelated": uncorrelated(30, 200, seed=51), "weakly": weakly_correlated(30, 200, seed=52)}
    heldout = {
        "uncorrelated200": uncorrelated(60, 200, seed=101),
        "weakly200": weakly_correlated(60, 200, seed=102),
        "uncorrelated1k": uncorrelated(15, 1000, seed=103),
    }
    reduction = "mean"
    limits = funsearch.Limits(seconds=20.0)
    baselines = {
        "accept everything": "def accept(value, weight, room, capacity, left):\n    return True\n",
        # Assumes densities from 1/4 to 8; the required density rises as the knapsack fills up.
        "rising threshold": """\
def accept(value, weight, room, capacity, left):
    return value / weight >= (8 * 4 * np.e) ** (1 - room / capacity) / (4 * np.e)
""",
        # Where values and weights are uniform in [0, 1], items denser than t have 1 / (3 t^2) of all weight if t > 1,
        # and 1 - 2 t / 3 of it if t < 1.
        "fluid threshold": """\
def accept(value, weight, room, capacity, left):
    share = room / (50.5 * (left + 1))
    return value / weight >= ((3 * share) ** -0.5 if share < 1 / 3 else 1.5 * (1 - share))
""",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Sequence[Instance]) -> float:
        """Returns the packed value in percent of the bound, as a mean over the instances of `value`."""
        knapsacks = packed_knapsacks(candidate, value)
        return math.fsum(100.0 * knapsack.value / knapsack.instance.bound for knapsack in knapsacks) / len(value)

    def draw(self, candidate: funsearch.Candidate, value: Sequence[Instance]) -> Any:
        """Draws the first instance of `value`: the items in the order of arrival, packed or not, and the room left."""
        from matplotlib.figure import Figure

        instance = value[0]
        (knapsack,) = packed_knapsacks(candidate, [instance])
        packed, share = knapsack.packed, 100.0 * knapsack.value / instance.bound
        figure = Figure(figsize=(9, 4.6), layout="constrained")
        figure.suptitle(
            f"{len(instance.items)} items, instance 1 of {len(value)}: value packed {share:.1f} % of the bound"
        )
        items, room = figure.subplots(2, sharex=True)
        for name, style, shown in (
            ("packed", {"marker": "o", "color": "#0072b2"}, packed),
            ("not packed", {"marker": "x", "color": "#d55e00"}, sorted(set(range(len(instance.items))) - set(packed))),
        ):
            densities = [instance.items[index][0] / instance.items[index][1] for index in shown]
            items.plot(shown, densities, linestyle="", markersize=4, label=name, **style)
        items.set(yscale="log", ylabel="value / weight")
        items.legend()
        taken = np.zeros(len(instance.items))
        taken[packed] = [instance.items[index][1] for index in packed]
        room.step(range(len(taken)), instance.capacity - np.cumsum(taken), where="post", color="black")
        room.set(xlabel="item", ylabel="room left", ylim=(0, instance.capacity))
        return figure

    def read_input(self, text: str) -> Any:
        """Returns the parsed JSON."""
        return json.loads(text)

    def check_input(self, value: Any) -> list[Instance]:
        """Returns the instances of {"capacity": ..., "items": [[value, weight], ...]}, or of a list of those."""
        values = value if isinstance(value, list | tuple) else [value]
        if not values:
            raise ValueError("it contains no instances")
        return [item if isinstance(item, Instance) else read_instance(item) for item in values]


class Knapsack:
    """The packed items of one instance while its items arrive."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.room = instance.capacity
        self.packed: list[int] = []

    @property
    def value(self) -> float:
        """Total value of the packed items."""
        return math.fsum(self.instance.items[index][0] for index in self.packed)

    def arguments(self, index: int) -> tuple[float, float, float, float, int] | None:
        """Returns the arguments for a call of the candidate about an item; None if the item does not fit."""
        value, weight = self.instance.items[index]
        left = len(self.instance.items) - index - 1
        return (value, weight, self.room, self.instance.capacity, left) if weight <= self.room else None

    def put(self, index: int, answer: Any) -> None:
        """Packs the item if the answer is True.

        Raises:
            InvalidSolution: the answer is neither True nor False.
        """
        if type(answer) is not bool:
            raise funsearch.InvalidSolution(f"neither True nor False: {answer!r:.80}")
        if answer:
            self.room -= self.instance.items[index][1]
            self.packed.append(index)


def packed_knapsacks(candidate: funsearch.Candidate, instances: Sequence[Instance]) -> list[Knapsack]:
    """Returns the knapsacks with the items that the candidate accepts, simulating all instances side by side.

    Raises:
        InvalidSolution: the candidate returns something other than True or False.
    """
    knapsacks = [Knapsack(instance) for instance in instances]
    for index in range(max(len(instance.items) for instance in instances)):
        active = [knapsack for knapsack in knapsacks if index < len(knapsack.instance.items)]
        calls = [(knapsack, arguments) for knapsack in active if (arguments := knapsack.arguments(index)) is not None]
        if calls:
            answers = candidate.accept.map(*zip(*(arguments for _, arguments in calls), strict=True))
            for (knapsack, _), answer in zip(calls, answers, strict=True):
                knapsack.put(index, answer)
    return knapsacks


def read_instance(value: Any) -> Instance:
    """Returns the instance that a mapping with `capacity` and `items` describes.

    Raises:
        ValueError: it does not describe an instance.
    """
    if not isinstance(value, Mapping) or not {"capacity", "items"} <= value.keys():
        raise ValueError(f'an instance is {{"capacity": ..., "items": [[value, weight], ...]}}, not {value!r:.80}')
    capacity, items = value["capacity"], value["items"]
    if not is_amount(capacity):
        raise ValueError(f"the capacity {capacity!r:.80} is not a number from {SMALLEST:g} to {LARGEST:g}")
    if not isinstance(items, list | tuple) or not items:
        raise ValueError(f"the items {items!r:.80} are not a list of pairs of value and weight")
    for item in items:
        if not isinstance(item, list | tuple) or len(item) != 2 or not all(map(is_amount, item)):
            raise ValueError(f"the item {item!r:.80} is not a pair of numbers from {SMALLEST:g} to {LARGEST:g}")
    return Instance(float(capacity), tuple((float(value), float(weight)) for value, weight in items))


def is_amount(value: Any) -> bool:
    """Returns whether a value is a number whose quotients and sums stay within the range of floats."""
    return type(value) in (int, float) and SMALLEST <= value <= LARGEST
