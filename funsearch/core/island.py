"""An island: programs that evolve separately from all others, grouped into clusters by signature (FunSearch, Methods).

Knows nothing about other islands, the text of prompts, where scores come from, or how programs are chosen.
"""

from array import array
from typing import Generic, Protocol, TypeVar

from funsearch.core.records import Program

Rng = TypeVar("Rng", contravariant=True)
"""The type of random generator that a selection draws from."""


class Cluster:
    """The programs of one island that share a signature, in order of registration."""

    __slots__ = ("lengths", "longest", "programs", "score", "shortest")

    def __init__(self, program: Program) -> None:
        length = _length(program)
        self.score = program.score
        self.programs = [program]
        self.lengths = array("d", [length])
        self.shortest = self.longest = length

    def add(self, program: Program) -> None:
        """Adds a program with the same signature."""
        length = _length(program)
        self.programs.append(program)
        self.lengths.append(length)
        self.shortest = min(self.shortest, length)
        self.longest = max(self.longest, length)


class ClusterIndex(Protocol[Rng]):
    """The clusters of one island, stored in whichever order makes drawing from them fast.

    An index only grows: when an island is reset, it gets a new one.
    """

    def add(self, cluster: Cluster) -> None:
        """Adds a new cluster. Its score never changes; programs may be added to it later."""

    def draw(self, rng: Rng, count: int, temperature: float, length_temperature: float) -> list[Program]:
        """Returns up to `count` programs in the order in which they were drawn."""


class Island(Generic[Rng]):
    """The programs registered on one island since its last reset."""

    def __init__(self, index: ClusterIndex[Rng], resets: int) -> None:
        self.resets = resets
        self.programs = 0
        self.best: Program | None = None
        self._clusters: dict[tuple[float | None, ...], Cluster] = {}
        self._index = index
        self._keys: set[str] = set()

    @property
    def clusters(self) -> int:
        """Number of clusters, which is the number of distinct signatures."""
        return len(self._clusters)

    def holds(self, key: str) -> bool:
        """Returns whether a program with this key is on the island. Programs without a key are never found."""
        return key in self._keys

    def register(self, program: Program) -> None:
        """Adds a program to the cluster of its signature. Only a strictly better score replaces the best program."""
        cluster = self._clusters.get(program.scores)
        if cluster is None:
            self._clusters[program.scores] = cluster = Cluster(program)
            self._index.add(cluster)
        else:
            cluster.add(program)
        if program.key:
            self._keys.add(program.key)
        self.programs += 1
        if self.best is None or program.score > self.best.score:
            self.best = program

    def draw(self, rng: Rng, count: int, start: float, period: int, length_temperature: float) -> list[Program]:
        """Returns up to `count` programs by ascending score; programs with equal scores stay in drawing order.

        The cluster temperature T falls with n, the number of programs on the island, and is restored to `start` every
        `period` programs: T = start * (1 - (n mod period) / period). The schedule is that of the reference code.
        """
        temperature = start * (1 - (self.programs % period) / period)
        programs = self._index.draw(rng, count, temperature, length_temperature)
        return sorted(programs, key=lambda program: program.score)


def _length(program: Program) -> int:
    """Returns the length of a program in characters, without the header, which all programs share."""
    return len(program.function.body) + len(program.function.preamble)
