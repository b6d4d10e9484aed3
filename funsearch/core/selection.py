"""How the programs of a prompt are chosen: by rank, which is the default, or exactly as the reference code does it.

A selection draws islands, orders them for a reset, and creates the `ClusterIndex` of each island. It draws only from
the generator passed to it. Knows nothing about prompts or what happens to the programs; docs/design/selection.md
explains why there are two selections.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from funsearch.core.island import Cluster, ClusterIndex
from funsearch.core.records import Program

BLOCK_SIZE = 1000
"""Maximum number of clusters in a block of `SortedClusters`."""
MAX_TRIES = 100
"""Programs tried by rejection sampling before all weights of a cluster are computed, which is rarely necessary at the
default temperature."""
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-9, 1e9
"""Within these bounds no weight overflows and nothing is divided by zero; beyond them, draws would be the same."""

Rng = TypeVar("Rng")


class Selection(Protocol[Rng]):
    """One way of choosing islands and programs. Every `rng` was returned by `generator` of the same selection."""

    def generator(self, *key: int) -> Rng:
        """Returns a random generator seeded with `key`, whose parts are non-negative."""

    def island(self, rng: Rng, islands: int) -> int:
        """Returns the number of an island, drawn uniformly from 0 ... islands - 1."""

    def weakest_first(self, rng: Rng, best_scores: Sequence[float]) -> list[int]:
        """Returns the islands by ascending best score; islands with equal scores are in random order."""

    def index(self) -> ClusterIndex[Rng]:
        """Returns an empty index for one island."""


class RankedSelection:
    """Draws clusters by rank, without replacement: p ∝ exp(x / T), where x falls from 1 (best) to 0 (worst)."""

    def generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(key)

    def island(self, rng: np.random.Generator, islands: int) -> int:
        return int(rng.integers(islands))

    def weakest_first(self, rng: np.random.Generator, best_scores: Sequence[float]) -> list[int]:
        noise = rng.random(len(best_scores)).tolist()
        return sorted(range(len(best_scores)), key=lambda island: (best_scores[island], noise[island]))

    def index(self) -> ClusterIndex[np.random.Generator]:
        return RankedClusters()


class RankedClusters:
    """The index of `RankedSelection`: the cost of a draw is independent of the number of clusters and programs."""

    def __init__(self) -> None:
        self._clusters = SortedClusters()

    def add(self, cluster: Cluster) -> None:
        self._clusters.add(cluster)

    def draw(
        self, rng: np.random.Generator, count: int, temperature: float, length_temperature: float
    ) -> list[Program]:
        """Returns distinct programs, from as many different clusters as possible; fewer if the island has fewer."""
        ranks = draw_ranks(rng, len(self._clusters), min(count, len(self._clusters)), temperature)
        clusters = [self._clusters[rank] for rank in ranks]
        shares = _allocate(count, [len(cluster.programs) for cluster in clusters])
        programs: list[Program] = []
        for cluster, share in zip(clusters, shares, strict=True):
            programs += draw_programs(rng, cluster, share, length_temperature)
        return programs


class SortedClusters:
    """Clusters sorted by rank: rank 0 has the best score; among equal scores, the newer cluster ranks higher.

    Clusters are stored in blocks of bounded size, so that an insertion moves at most a thousand of them.
    """

    def __init__(self) -> None:
        self._size = 0
        # Blocks and scores are in ascending order; `_lowest` holds the first score of each block except the first.
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
        position = bisect_right(self._scores[number], cluster.score)
        self._blocks[number].insert(position, cluster)
        self._scores[number].insert(position, cluster.score)
        self._size += 1
        if len(self._blocks[number]) > BLOCK_SIZE:
            self._split(number)

    def _split(self, number: int) -> None:
        middle = BLOCK_SIZE // 2
        for parts in (self._blocks, self._scores):
            parts.insert(number + 1, parts[number][middle:])  # type: ignore[arg-type]
            del parts[number][middle:]
        self._lowest.insert(number + 1, self._scores[number + 1][0])


def draw_ranks(rng: np.random.Generator, size: int, count: int, temperature: float) -> list[int]:
    """Returns `count` distinct ranks from 0 ... size - 1, drawn one after another with p ∝ exp(x / temperature).

    x = 1 - rank / (size - 1), so weights fall by a constant factor from one rank to the next. `count` is at most
    `size`.
    """
    if size == 1:
        return [0] * count
    decay = 1 / (min(max(temperature, MIN_TEMPERATURE), MAX_TEMPERATURE) * (size - 1))
    ranks: list[int] = []
    for _ in range(count):
        ranks.append(_draw_free_rank(rng, size, sorted(ranks), decay))
    return ranks


def _draw_free_rank(rng: np.random.Generator, size: int, taken: Sequence[int], decay: float) -> int:
    """Returns a rank that is not taken, drawn with p ∝ exp(-decay * rank).

    The weights in each gap between taken ranks form a geometric series, so their sum and the rank that a random point
    falls on have closed forms. Weights are relative to the first free rank, so that they do not underflow at low
    temperatures.
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
    return first  # Rounding moved the point beyond the last gap.


def _allocate(count: int, sizes: Sequence[int]) -> list[int]:
    """Returns how many programs to draw from each cluster: allocates `count`, or all, one at a time in turn."""
    shares = [0] * len(sizes)
    remaining = min(count, sum(sizes))
    while remaining:
        for number, size in enumerate(sizes):
            if remaining and shares[number] < size:
                shares[number] += 1
                remaining -= 1
    return shares


def draw_programs(rng: np.random.Generator, cluster: Cluster, count: int, temperature: float) -> list[Program]:
    """Returns `count` distinct programs of a cluster, drawn one after another with p ∝ exp(-L̃ / temperature).

    L̃ is the normalised length (see `length_logits`). Rejection sampling: a program is picked uniformly and accepted
    with the ratio of its weight to the largest weight. This takes a few tries, however many programs there are.
    """
    size = len(cluster.programs)
    if count == size:
        return list(cluster.programs)
    temperature = max(temperature, MIN_TEMPERATURE)
    span = (cluster.longest + 1e-6) * temperature
    chosen: list[int] = []
    for _ in range(MAX_TRIES):
        if len(chosen) == count:
            break
        pick = min(size - 1, int(rng.random() * size))
        accepted = rng.random() < math.exp((cluster.shortest - cluster.lengths[pick]) / span)
        if accepted and pick not in chosen:
            chosen.append(pick)
    else:
        # At low temperatures hardly any program is accepted. The Gumbel-max trick draws from the same distribution.
        keys = length_logits(cluster) / temperature + rng.gumbel(size=size)
        keys[chosen] = -math.inf
        chosen += np.argsort(-keys, kind="stable")[: count - len(chosen)].tolist()
    return [cluster.programs[number] for number in chosen]


class ReferenceSelection:
    """Makes the same calls to numpy's `RandomState` as the reference code: softmax of raw scores, with replacement."""

    def generator(self, *key: int) -> np.random.RandomState:
        return np.random.RandomState(np.random.MT19937(key))

    def island(self, rng: np.random.RandomState, islands: int) -> int:
        return int(rng.randint(islands))

    def weakest_first(self, rng: np.random.RandomState, best_scores: Sequence[float]) -> list[int]:
        order = np.argsort(np.array(best_scores) + rng.randn(len(best_scores)) * 1e-6)
        return [int(island) for island in order]

    def index(self) -> ClusterIndex[np.random.RandomState]:
        return ReferenceClusters()


class ReferenceClusters:
    """The index of `ReferenceSelection`: clusters in the order in which they were added."""

    def __init__(self) -> None:
        self._clusters: list[Cluster] = []
        self._scores = array("d")

    def add(self, cluster: Cluster) -> None:
        self._clusters.append(cluster)
        self._scores.append(cluster.score)

    def draw(
        self, rng: np.random.RandomState, count: int, temperature: float, length_temperature: float
    ) -> list[Program]:
        """Returns one program from each drawn cluster; clusters and programs may be drawn more than once."""
        size = len(self._clusters)
        weights = softmax(np.frombuffer(self._scores), temperature)
        programs = []
        for number in rng.choice(size, size=min(size, count), p=weights):
            cluster = self._clusters[number]
            weights = softmax(length_logits(cluster), length_temperature)
            programs.append(cluster.programs[rng.choice(len(cluster.programs), p=weights)])
        return programs


def length_logits(cluster: Cluster) -> NDArray[np.float64]:
    """Returns -L̃ of each program in a cluster, L̃ = (L - min L) / (max L + 1e-6): shorter programs are preferred."""
    return -((np.frombuffer(cluster.lengths) - cluster.shortest) / (cluster.longest + 1e-6))


def softmax(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Returns exp(logits / temperature), normalised; the largest weight absorbs rounding errors: the sum is 1."""
    with np.errstate(over="ignore"):  # Scores may be as large as floats allow; weights far below the largest are 0.
        scaled = logits / temperature
        if not np.isfinite(scaled).all():
            scaled = (logits - logits.max()) / temperature
        weights: NDArray[np.float64] = np.exp(scaled - scaled.max())
    weights /= weights.sum()
    top = int(np.argmax(weights))
    weights[top] = 1 - np.sum(weights[:top]) - np.sum(weights[top + 1 :])
    return weights
