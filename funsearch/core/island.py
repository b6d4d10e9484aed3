"""An island: programs that evolve apart from the others, grouped into clusters by signature (FunSearch, Methods).

Knows nothing about other islands, prompts' texts or where scores come from, nor by what rule programs are chosen.
"""

from array import array
from typing import Any, Protocol

from funsearch.core.records import Program


class Cluster:
    """The programs of one signature on one island, in the order of their arrival."""

    __slots__ = ("lengths", "longest", "programs", "score", "shortest")

    def __init__(self, program: Program) -> None:
        length = _length(program)
        self.score = program.score
        self.programs = [program]
        self.lengths = array("d", [length])
        self.shortest = self.longest = length

    def add(self, program: Program) -> None:
        """Adds a program of the same signature."""
        length = _length(program)
        self.programs.append(program)
        self.lengths.append(length)
        self.shortest = min(self.shortest, length)
        self.longest = max(self.longest, length)


class ClusterIndex(Protocol):
    """The clusters of one island, in whatever order they can be drawn from quickly.

    It only grows: an emptied island starts with a new one. `rng` is a generator of the selection that made the index.
    """

    def add(self, cluster: Cluster) -> None:
        """Takes in a new cluster. Its score never changes; its programs may become more."""

    def draw(self, rng: Any, count: int, temperature: float, length_temperature: float) -> list[Program]:
        """Returns up to `count` programs, in the order in which they were drawn."""


class Island:
    """The programs of one island since it was last emptied."""

    def __init__(self, index: ClusterIndex, resets: int) -> None:
        self.resets = resets
        self.programs = 0
        self.best: Program | None = None
        self._clusters: dict[tuple[float | None, ...], Cluster] = {}
        self._index = index
        self._keys: set[str] = set()

    @property
    def clusters(self) -> int:
        """Returns how many signatures there are."""
        return len(self._clusters)

    def holds(self, key: str) -> bool:
        """Returns whether the same program, by its key, is here already. A program without a key never is."""
        return key in self._keys

    def register(self, program: Program) -> None:
        """Adds a program to the cluster of its signature; the best is replaced by a strictly better score only."""
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

    def draw(self, rng: Any, count: int, start: float, period: int, length_temperature: float) -> list[Program]:
        """Returns up to `count` programs by ascending score; equal scores stay in the order of drawing.

        The clusters' temperature falls with the programs registered here, n, and starts again every `period`:
        T = start * (1 - (n mod period) / period).
        """
        temperature = start * (1 - (self.programs % period) / period)
        drawn = self._index.draw(rng, count, temperature, length_temperature)
        return sorted(drawn, key=lambda program: program.score)


def _length(program: Program) -> int:
    """Returns a program's length in characters, without the header that all of them share."""
    return len(program.function.body) + len(program.function.preamble)
