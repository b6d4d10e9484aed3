"""An island: programs that evolve apart from the others, grouped into clusters by signature (FunSearch, Methods).

Knows nothing about other islands, prompts' texts or where scores come from.
"""

from typing import Any

from funsearch.core.records import Program
from funsearch.core.selection import Cluster, ClusterIndex


class Island:
    """The programs of one island since it was last emptied."""

    def __init__(self, index: ClusterIndex, generation: int) -> None:
        self.generation = generation
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
        """Returns whether the same program, by its key, is here already."""
        return key in self._keys

    def register(self, program: Program) -> None:
        """Adds a program to the cluster of its signature; the best is replaced by a strictly better score only."""
        cluster = self._clusters.get(program.scores)
        if cluster is None:
            self._clusters[program.scores] = cluster = Cluster(program)
            self._index.add(cluster)
        else:
            cluster.add(program)
        self._keys.add(program.key)
        self.programs += 1
        if self.best is None or program.score > self.best.score:
            self.best = program

    def draw(self, rng: Any, count: int, start: float, period: int, length_temperature: float) -> list[Program]:
        """Returns up to `count` programs by ascending score.

        The clusters' temperature falls with the programs registered here, n, and starts again every `period`:
        T = start * (1 - (n mod period) / period).
        """
        temperature = start * (1 - (self.programs % period) / period)
        drawn = self._index.draw(rng, count, temperature, length_temperature)
        return sorted(drawn, key=lambda program: program.score)
