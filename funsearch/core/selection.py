"""How programs of an island are chosen for a prompt: by default by rank, or exactly as the reference code does.

A selection draws islands, orders them for a reset, and keeps one `ClusterIndex` for each island. Knows nothing about
prompts or what becomes of the programs. Every draw comes from a generator that is handed in.
"""

import bisect
import math
from array import array
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from funsearch.core.records import Program


class Cluster:
    """The programs of one signature on one island (FunSearch, Methods, "Sampling from clusters")."""

    __slots__ = ("_lengths", "programs", "score")

    def __init__(self, program: Program) -> None:
        self.score = program.score
        self.programs = [program]
        self._lengths = array("d", [length(program)])

    def add(self, program: Program) -> None:
        """Adds a program of the same signature."""
        self.programs.append(program)
        self._lengths.append(length(program))

    def length_weights(self, temperature: float) -> NDArray[np.float64]:
        """Returns p ∝ exp(-L̃ / temperature) over the programs, L̃ = (L - min L) / (max L + 1e-6): shorter is likelier."""
        lengths = np.frombuffer(self._lengths, dtype=float)
        normalised = (lengths - lengths.min()) / (lengths.max() + 1e-6)
        return softmax(-normalised, temperature)


def length(program: Program) -> int:
    """Returns a program's length in characters."""
    return len(program.function.body) + len(program.function.preamble)


def softmax(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Returns exp(logits / temperature), normalised; the largest entry takes up what rounding leaves, so that it sums to 1."""
    scaled = logits / temperature
    weights: NDArray[np.float64] = np.exp(scaled - scaled.max())
    weights /= weights.sum()
    top = int(np.argmax(weights))
    weights[top] = 1 - np.sum(weights[:top]) - np.sum(weights[top + 1 :])
    return weights


class ClusterIndex(Protocol):
    """The clusters of one island, in whatever order its selection draws from quickly."""

    def add(self, cluster: Cluster) -> None:
        """Takes in a new cluster; its score never changes."""

    def draw(self, rng: Any, count: int, temperature: float, length_temperature: float) -> list[Program]:
        """Returns up to `count` programs, in the order of drawing."""


class Selection(Protocol):
    """One way of choosing. `rng` is always what `generator` returned."""

    def generator(self, *key: int) -> Any:
        """Returns a generator for the draws that belong to `key`, all of it non-negative."""

    def island(self, rng: Any, islands: int) -> int:
        """Returns a uniformly drawn island."""

    def weakest_first(self, rng: Any, best_scores: Sequence[float]) -> list[int]:
        """Returns the islands by ascending best score, equal ones in random order."""

    def index(self) -> ClusterIndex:
        """Returns an empty index for one island."""


class RankedSelection:
    """Chooses clusters by rank, without replacement: p ∝ exp(x / T), x = 1 for the best cluster down to 0 for the worst.

    See docs/design/selection.md for what it mends in the reference.
    """

    def generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(key)

    def island(self, rng: np.random.Generator, islands: int) -> int:
        return int(rng.integers(islands))

    def weakest_first(self, rng: np.random.Generator, best_scores: Sequence[float]) -> list[int]:
        return np.lexsort((rng.random(len(best_scores)), best_scores)).tolist()

    def index(self) -> ClusterIndex:
        return RankedClusters()


class RankedClusters:
    """Clusters in ascending order of score; of equal scores the newer one ranks higher."""

    def __init__(self) -> None:
        self._ascending: list[Cluster] = []

    def add(self, cluster: Cluster) -> None:
        bisect.insort(self._ascending, cluster, key=attrgetter("score"))

    def draw(
        self, rng: np.random.Generator, count: int, temperature: float, length_temperature: float
    ) -> list[Program]:
        """Returns distinct programs of distinct clusters; of the same cluster only when there are too few of them."""
        size = len(self._ascending)
        ranks = draw_ranks(rng, size, min(count, size), temperature)
        clusters = [self._ascending[size - 1 - rank] for rank in ranks]
        programs = []
        for cluster in clusters:
            # The last cluster to be asked makes up for the clusters that are missing.
            wanted = 1 if len(clusters) == count else count - len(programs)
            programs += _draw_distinct(rng, cluster, wanted, length_temperature)
            if len(programs) == count:
                break
        return programs


def draw_ranks(rng: np.random.Generator, size: int, count: int, temperature: float) -> list[int]:
    """Returns `count` distinct ranks of 0 ... size-1, rank r with weight exp(-r / (temperature * (size - 1))).

    The weights are a truncated geometric series, so their running sum has a closed form and is inverted at once: a
    draw costs the same for ten clusters and for a million.
    """
    if size == 1:
        return [0] * count
    decay = 1.0 / (temperature * (size - 1))
    base = -math.expm1(-decay)

    def below(rank: int) -> float:
        return -math.expm1(-decay * rank) / base

    taken: list[int] = []  # ascending
    drawn: list[int] = []
    for _ in range(count):
        left = below(size) - sum(math.exp(-decay * rank) for rank in taken)
        point = rng.random() * max(left, 0.0)
        for rank in taken:
            if point >= below(rank):
                point += math.exp(-decay * rank)
        inside = 1.0 - point * base
        rank = min(size - 1, int(-math.log(inside) / decay)) if inside > 0 else size - 1
        # Rounding may land on a rank that is taken, and so may weights that vanish: the next free one is meant.
        while rank in taken:
            rank = (rank + 1) % size
        bisect.insort(taken, rank)
        drawn.append(rank)
    return drawn


def _draw_distinct(rng: np.random.Generator, cluster: Cluster, count: int, temperature: float) -> list[Program]:
    """Returns up to `count` distinct programs of a cluster, shorter ones likelier."""
    programs = cluster.programs
    if len(programs) <= count:
        return list(programs)
    weights = cluster.length_weights(temperature)
    chosen = []
    for _ in range(count):
        running = np.cumsum(weights)
        index = min(int(np.searchsorted(running, rng.random() * running[-1], side="right")), len(programs) - 1)
        chosen.append(programs[index])
        weights[index] = 0.0
    return chosen


class ReferenceSelection:
    """Chooses as the reference code does, call for call on numpy's `RandomState`: raw scores, with replacement."""

    def generator(self, *key: int) -> np.random.RandomState:
        return np.random.RandomState([part & 0xFFFFFFFF for part in key])

    def island(self, rng: np.random.RandomState, islands: int) -> int:
        return int(rng.randint(islands))

    def weakest_first(self, rng: np.random.RandomState, best_scores: Sequence[float]) -> list[int]:
        return np.argsort(np.array(best_scores) + rng.randn(len(best_scores)) * 1e-6).tolist()

    def index(self) -> ClusterIndex:
        return ReferenceClusters()


class ReferenceClusters:
    """Clusters in the order of their arrival."""

    def __init__(self) -> None:
        self._clusters: list[Cluster] = []
        self._scores = array("d")

    def add(self, cluster: Cluster) -> None:
        self._clusters.append(cluster)
        self._scores.append(cluster.score)

    def draw(
        self, rng: np.random.RandomState, count: int, temperature: float, length_temperature: float
    ) -> list[Program]:
        weights = softmax(np.frombuffer(self._scores, dtype=float), temperature)
        count = min(len(self._clusters), count)
        chosen = rng.choice(len(self._clusters), size=count, p=weights)
        programs = []
        for number in chosen:
            cluster = self._clusters[number]
            weights = cluster.length_weights(length_temperature)
            programs.append(cluster.programs[rng.choice(len(cluster.programs), p=weights)])
        return programs
