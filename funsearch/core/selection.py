"""How programs of an island are chosen for a prompt: by rank, which is the default, or exactly as the reference does.

A selection draws islands, orders them for a reset, and makes the `ClusterIndex` of each island. Every draw comes from
a generator that is handed in. Knows nothing about prompts or what becomes of the programs; docs/design/selection.md
tells why there are two.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from funsearch.core.island import Cluster, ClusterIndex
from funsearch.core.records import Program

BLOCK = 1000
"""Clusters that a block of `SortedClusters` holds at most."""
TRIES = 100
"""Programs of a cluster tried one by one before all of them are weighed: at the default temperature hardly ever."""
COLDEST, HOTTEST = 1e-9, 1e9
"""Between them no temperature makes a weight overflow or divide by zero; beyond them no draw would change."""


class Selection(Protocol):
    """One way of choosing. `rng` is always what `generator` returned."""

    def generator(self, *key: int) -> Any:
        """Returns a generator for the draws that belong to `key`, all of it non-negative."""

    def island(self, rng: Any, islands: int) -> int:
        """Returns a number of 0 ... islands-1, drawn uniformly."""

    def weakest_first(self, rng: Any, best_scores: Sequence[float]) -> list[int]:
        """Returns the islands by ascending best score, equal ones in random order."""

    def index(self) -> ClusterIndex:
        """Returns an empty index for one island."""


class RankedSelection:
    """Chooses clusters by rank, without replacement: p ∝ exp(x / T), x = 1 for the best one down to 0 for the worst."""

    def generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(key)

    def island(self, rng: np.random.Generator, islands: int) -> int:
        return int(rng.integers(islands))

    def weakest_first(self, rng: np.random.Generator, best_scores: Sequence[float]) -> list[int]:
        noise = rng.random(len(best_scores)).tolist()
        return sorted(range(len(best_scores)), key=lambda island: (best_scores[island], noise[island]))

    def index(self) -> ClusterIndex:
        return RankedClusters()


class RankedClusters:
    """The index of `RankedSelection`: what a draw costs does not grow with the clusters, nor with what is in them."""

    def __init__(self) -> None:
        self._clusters = SortedClusters()

    def add(self, cluster: Cluster) -> None:
        self._clusters.add(cluster)

    def draw(
        self, rng: np.random.Generator, count: int, temperature: float, length_temperature: float
    ) -> list[Program]:
        """Returns distinct programs, of distinct clusters while there are any; fewer when the island has fewer."""
        ranks = draw_ranks(rng, len(self._clusters), min(count, len(self._clusters)), temperature)
        clusters = [self._clusters[rank] for rank in ranks]
        shares = _deal(count, [len(cluster.programs) for cluster in clusters])
        programs: list[Program] = []
        for cluster, share in zip(clusters, shares, strict=True):
            programs += draw_programs(rng, cluster, share, length_temperature)
        return programs


class SortedClusters:
    """Clusters by rank: 0 has the best score; of equal scores the newer one ranks higher.

    They lie in blocks of bounded size, so that adding one moves a thousand neighbours at most, not a million.
    """

    def __init__(self) -> None:
        self._size = 0
        # The blocks and their scores ascend; `_lowest` has the first score of every block but the first.
        self._blocks: list[list[Cluster]] = [[]]
        self._scores = [array("d")]
        self._lowest = [-math.inf]

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, rank: int) -> Cluster:
        for block in reversed(self._blocks):
            if rank < len(block):
                return block[-1 - rank]
            rank -= len(block)
        raise IndexError(rank)

    def add(self, cluster: Cluster) -> None:
        """Adds a cluster at its rank."""
        number = bisect_right(self._lowest, cluster.score) - 1
        place = bisect_right(self._scores[number], cluster.score)
        self._blocks[number].insert(place, cluster)
        self._scores[number].insert(place, cluster.score)
        self._size += 1
        if len(self._blocks[number]) > BLOCK:
            self._split(number)

    def _split(self, number: int) -> None:
        middle = BLOCK // 2
        for parts in (self._blocks, self._scores):
            parts.insert(number + 1, parts[number][middle:])  # type: ignore[arg-type]
            del parts[number][middle:]
        self._lowest.insert(number + 1, self._scores[number + 1][0])


def draw_ranks(rng: np.random.Generator, size: int, count: int, temperature: float) -> list[int]:
    """Returns `count` distinct ranks of 0 ... size-1, one drawn after the other, with p ∝ exp(x / temperature).

    x = 1 - rank / (size - 1), so the weights fall by the same factor from rank to rank. `count` is at most `size`.
    """
    if size == 1:
        return [0] * count
    decay = 1 / (min(max(temperature, COLDEST), HOTTEST) * (size - 1))
    drawn: list[int] = []
    for _ in range(count):
        drawn.append(_draw_free_rank(rng, size, sorted(drawn), decay))
    return drawn


def _draw_free_rank(rng: np.random.Generator, size: int, taken: Sequence[int], decay: float) -> int:
    """Returns a rank that is not taken, with p ∝ exp(-decay * rank).

    Between taken ranks the weights are a geometric series: its sum is known, and so is which rank a point of it falls
    on. Weights are counted relative to the first free rank, so that they don't vanish when it is cold.
    """
    bounds = zip((-1, *taken), (*taken, size), strict=True)
    gaps = [(before + 1, end) for before, end in bounds if before + 1 < end]
    first = gaps[0][0]
    scales = [math.exp(-decay * (start - first)) for start, _ in gaps]
    sums = [scale * -math.expm1(-decay * (end - start)) for scale, (start, end) in zip(scales, gaps, strict=True)]
    point = rng.random() * math.fsum(sums)
    for (start, end), scale, total in zip(gaps, scales, sums, strict=True):
        if point < total:
            return min(end - 1, start + int(-math.log1p(-point / scale) / decay))
        point -= total
    return first  # Rounding left the point a hair beyond the last gap.


def _deal(count: int, sizes: Sequence[int]) -> list[int]:
    """Returns how many programs each cluster gives: one in turn until there are `count`, or no more to give."""
    shares = [0] * len(sizes)
    left = min(count, sum(sizes))
    while left:
        for number, size in enumerate(sizes):
            if left and shares[number] < size:
                shares[number] += 1
                left -= 1
    return shares


def draw_programs(rng: np.random.Generator, cluster: Cluster, count: int, temperature: float) -> list[Program]:
    """Returns `count` distinct programs of a cluster, one drawn after the other, with p ∝ exp(-L̃ / temperature).

    One program after the other is picked evenly and kept with the probability that its weight is of the largest: the
    same distribution as weighing all of them, in a few tries, however many there are.
    """
    size = len(cluster.programs)
    if count == size:
        return list(cluster.programs)
    temperature = max(temperature, COLDEST)
    span = (cluster.longest + 1e-6) * temperature
    chosen: list[int] = []
    for _ in range(TRIES):
        if len(chosen) == count:
            break
        pick = min(size - 1, int(rng.random() * size))
        kept = rng.random() < math.exp((cluster.shortest - cluster.lengths[pick]) / span)
        if kept and pick not in chosen:
            chosen.append(pick)
    else:
        # It is cold, and hardly any program is kept. The largest of log-weight plus Gumbel noise are the same draws.
        keys = length_logits(cluster) / temperature + rng.gumbel(size=size)
        keys[chosen] = -math.inf
        chosen += np.argsort(-keys, kind="stable")[: count - len(chosen)].tolist()
    return [cluster.programs[number] for number in chosen]


class ReferenceSelection:
    """Chooses as the reference code does, call for call on numpy's `RandomState`: raw scores, with replacement."""

    def generator(self, *key: int) -> np.random.RandomState:
        return np.random.RandomState(np.random.MT19937(key))

    def island(self, rng: np.random.RandomState, islands: int) -> int:
        return int(rng.randint(islands))

    def weakest_first(self, rng: np.random.RandomState, best_scores: Sequence[float]) -> list[int]:
        order = np.argsort(np.array(best_scores) + rng.randn(len(best_scores)) * 1e-6)
        return [int(island) for island in order]

    def index(self) -> ClusterIndex:
        return ReferenceClusters()


class ReferenceClusters:
    """The index of `ReferenceSelection`: clusters in the order of their arrival."""

    def __init__(self) -> None:
        self._clusters: list[Cluster] = []
        self._scores = array("d")

    def add(self, cluster: Cluster) -> None:
        self._clusters.append(cluster)
        self._scores.append(cluster.score)

    def draw(
        self, rng: np.random.RandomState, count: int, temperature: float, length_temperature: float
    ) -> list[Program]:
        """Returns one program of each drawn cluster; a cluster, and a program, may be drawn more than once."""
        size = len(self._clusters)
        weights = softmax(np.frombuffer(self._scores), temperature)
        programs = []
        for number in rng.choice(size, size=min(size, count), p=weights):
            cluster = self._clusters[number]
            weights = softmax(length_logits(cluster), length_temperature)
            programs.append(cluster.programs[rng.choice(len(cluster.programs), p=weights)])
        return programs


def length_logits(cluster: Cluster) -> NDArray[np.float64]:
    """Returns -L̃ of a cluster's programs, L̃ = (L - min L) / (max L + 1e-6), so that shorter ones are preferred."""
    return -((np.frombuffer(cluster.lengths) - cluster.shortest) / (cluster.longest + 1e-6))


def softmax(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Returns exp(logits / temperature), normalised; the largest takes up what rounding leaves of 1."""
    with np.errstate(over="ignore"):  # Scores may be as large as floats get; what falls that far behind weighs 0.
        scaled = logits / temperature
        if not np.isfinite(scaled).all():
            scaled = (logits - logits.max()) / temperature
        weights: NDArray[np.float64] = np.exp(scaled - scaled.max())
    weights /= weights.sum()
    top = int(np.argmax(weights))
    weights[top] = 1 - np.sum(weights[:top]) - np.sum(weights[top + 1 :])
    return weights
