"""Travelling salesman, constructive: compares the length of a candidate's tours with tours of a local search.

One call of `solve(coordinates)` returns a whole tour as a list of cities. The evaluator verifies that it visits each
city once and computes its length. A score is minus the excess over a reference, in percent: the mean over the instances
of an input. The reference is a nearest-neighbour tour improved by 2-opt. A score may be positive: the shortest tours
through 100 uniform cities have a mean length of 7.76 (Kool, van Hoof and Welling, 2019) and the references here a mean
length of 8.13, so the best possible score on such cities is about 4.5. Nearest-neighbour tours are about 25 percent
longer than the shortest ones (Johnson and McGeoch, 1997). Scores:

    input                uniform   clustered
    first program         -21.0      -17.1     nearest neighbour
    in order             -529.9     -804.8     the cities in the order of their numbers
    far from the start    -10.6      -15.5     nearest neighbour that postpones cities near the start
    lonely neighbour      -13.8      -15.0     nearest neighbour that prefers isolated cities

Coordinates are multiples of 2^-20, so that squares and their sums are exact and all machines compute the same lengths.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import funsearch

GRID = 2**20
"""Number of grid lines in each direction of the unit square; cities lie on the grid."""
MAX_CITIES = 500
"""Computing the reference takes seconds beyond this."""
FARTHEST = 1e9
"""Largest absolute value of a coordinate in a user's input."""
CLOSEST = 1e-9
"""Least distance between some two cities in a user's input, so that the reference is not zero."""


@dataclass(frozen=True)
class Instance:
    """Cities in the plane."""

    cities: tuple[tuple[float, float], ...]

    @cached_property
    def distances(self) -> np.ndarray:
        """Distances between all cities."""
        x, y = np.array(self.cities).T
        distances: np.ndarray = np.sqrt((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2)
        return distances

    @cached_property
    def reference(self) -> float:
        """Length of the reference tour."""
        return length(self.distances, improved(self.distances, nearest_neighbour(self.distances)))


def length(distances: np.ndarray, tour: Sequence[int]) -> float:
    """Returns the length of a round trip."""
    return math.fsum(distances[tour, np.roll(tour, -1)].tolist())


def nearest_neighbour(distances: np.ndarray) -> list[int]:
    """Returns the tour that starts in city 0 and always continues to the nearest unvisited city."""
    tour, unvisited = [0], np.arange(1, len(distances))
    while len(unvisited):
        place = int(np.argmin(distances[tour[-1], unvisited]))
        tour.append(int(unvisited[place]))
        unvisited = np.delete(unvisited, place)
    return tour


def improved(distances: np.ndarray, tour: Sequence[int]) -> list[int]:
    """Returns the tour after repeating the best reversal of a part of it until none makes it shorter (2-opt)."""
    order = np.array(tour)
    least = 1e-9 * distances.max()
    while True:
        after = np.roll(order, -1)
        legs = distances[order, after]
        changes = distances[np.ix_(order, order)] + distances[np.ix_(after, after)] - legs[:, None] - legs
        gains = np.triu(-changes, 1)
        first, last = divmod(int(np.argmax(gains)), len(order))
        if gains[first, last] <= least:
            return [int(city) for city in order]
        order[first + 1 : last + 1] = order[first + 1 : last + 1][::-1].copy()


def uniform(instances: int, cities: int, seed: int) -> list[Instance]:
    """Returns instances of cities anywhere in the unit square."""
    rng = np.random.default_rng(seed)
    return [on_grid(rng.integers(0, GRID, (cities, 2))) for _ in range(instances)]


def clustered(instances: int, cities: int, seed: int) -> list[Instance]:
    """Returns instances of cities within 1/16 of a centre in each coordinate, with one centre per ten cities."""
    rng = np.random.default_rng(seed)
    spread = GRID // 16
    created = []
    for _ in range(instances):
        centres = rng.integers(spread, GRID - spread, (math.ceil(cities / 10), 2))
        nearest = centres[rng.integers(0, len(centres), cities)]
        created.append(on_grid(nearest + rng.integers(-spread, spread, (cities, 2))))
    return created


def on_grid(points: np.ndarray) -> Instance:
    """Returns the instance of these points of the grid."""
    return Instance(tuple((x / GRID, y / GRID) for x, y in points.tolist()))


class TspConstructive(funsearch.ProblemEvaluator):
    """Scores a candidate's `solve(coordinates)` by the lengths of its tours."""

    inputs = {"uniform": uniform(12, 100, seed=1), "clustered": clustered(12, 100, seed=2)}
    selection = {"uniform": uniform(40, 100, seed=51), "clustered": clustered(40, 100, seed=52)}
    heldout = {
        "uniform100": uniform(40, 100, seed=101),
        "clustered100": clustered(40, 100, seed=102),
        "uniform200": uniform(10, 200, seed=103),
    }
    reduction = "mean"
    limits = funsearch.Limits(seconds=20.0)
    baselines = {
        "in order": "def priority(to_current, to_start, between):\n    return -np.arange(len(to_current))\n",
        "far from the start": "def priority(to_current, to_start, between):\n    return 0.3 * to_start - to_current\n",
        "lonely neighbour": """\
def priority(to_current, to_start, between):
    return 0.3 * np.sort(between)[:, 1:4].sum(axis=1) / 3 - to_current
""",
    }

    def evaluate(self, candidate: funsearch.Candidate, value: Sequence[Instance]) -> float:
        """Returns minus the excess over the reference, in percent, as a mean over the instances of `value`."""
        ratios = [
            tour_length(candidate.solve(np.array(instance.cities)), instance) / instance.reference for instance in value
        ]
        return -100.0 * (math.fsum(ratios) / len(ratios) - 1.0)

    def draw(self, candidate: funsearch.Candidate, value: Sequence[Instance]) -> Any:
        """Draws the tour through the first instance of `value`."""
        from matplotlib.figure import Figure

        instance = value[0]
        tour = candidate.solve(np.array(instance.cities))
        excess = 100.0 * (tour_length(tour, instance) / instance.reference - 1.0)
        figure = Figure(figsize=(6, 6.2), layout="constrained")
        title = f"{len(tour)} cities, instance 1 of {len(value)}: {excess:+.1f} % against 2-opt"
        axes = figure.add_subplot(title=title, aspect="equal")
        axes.plot(*zip(*(instance.cities[city] for city in [*tour, tour[0]]), strict=True), color="#0072b2", marker=".")
        axes.plot(*instance.cities[tour[0]], color="#d55e00", marker="s", linestyle="", label="first city")
        axes.legend()
        return figure

    def read_input(self, text: str) -> Any:
        """Returns the parsed JSON."""
        return json.loads(text)

    def check_input(self, value: Any) -> list[Instance]:
        """Returns the instances of {"cities": [[x, y], ...]}, or of a list of those."""
        values = value if isinstance(value, list | tuple) else [value]
        if not values:
            raise ValueError("it contains no instances")
        return [item if isinstance(item, Instance) else read_instance(item) for item in values]


def tour_length(tour: Any, instance: Instance) -> float:
    """Returns the length of the tour.

    Raises:
        InvalidSolution: it does not visit each city once.
    """
    count = len(instance.cities)
    if not isinstance(tour, list):
        raise funsearch.InvalidSolution(f"expected a list, got {type(tour).__name__}")
    if len(tour) != count:
        raise funsearch.InvalidSolution(f"a tour of length {len(tour)} through {count} cities")
    for city in tour:
        if type(city) is not int or not 0 <= city < count:
            raise funsearch.InvalidSolution(f"not a city from 0 to {count - 1}: {city!r:.80}")
    if len(set(tour)) != count:
        raise funsearch.InvalidSolution("a city is visited twice")
    return length(instance.distances, tour)


def read_instance(value: Any) -> Instance:
    """Returns the instance that a mapping with `cities` describes.

    Raises:
        ValueError: it does not describe an instance, or all its cities are in one place.
    """
    if not isinstance(value, Mapping) or "cities" not in value:
        raise ValueError(f'an instance is {{"cities": [[x, y], ...]}}, not {value!r:.80}')
    cities = value["cities"]
    if not isinstance(cities, list | tuple) or not 3 <= len(cities) <= MAX_CITIES:
        raise ValueError(f"the cities {cities!r:.80} are not a list of 3 to {MAX_CITIES} pairs of coordinates")
    for city in cities:
        if not isinstance(city, list | tuple) or len(city) != 2 or not all(map(is_coordinate, city)):
            raise ValueError(f"the city {city!r:.80} is not a pair of numbers from -{FARTHEST:g} to {FARTHEST:g}")
    instance = Instance(tuple((float(x), float(y)) for x, y in cities))
    if instance.distances.max() < CLOSEST:
        raise ValueError(f"all cities are in one place, within {CLOSEST:g} of each other, so that tours have no length")
    return instance


def is_coordinate(value: Any) -> bool:
    """Returns whether a value is a number of reasonable size."""
    return type(value) in (int, float) and -FARTHEST <= value <= FARTHEST
