"""Lays out the map of islands and their clusters. Knows nothing about where they come from."""

from collections.abc import Sequence
from dataclasses import dataclass

from funsearch.storage.views import ClusterView

WIDTH = 440
LARGEST = 11.0
"""Radius of the largest circle."""
MOST = 40
"""Clusters of an island that are drawn, the best ones."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A cluster on the map."""

    cluster: ClusterView
    x: float
    radius: float


def circles(clusters: Sequence[ClusterView], islands: int) -> list[list[Circle]]:
    """Returns the best clusters of each island as circles: the higher the score the further to the right."""
    drawn = [[cluster for cluster in clusters if cluster.island == number][:MOST] for number in range(islands)]
    every = [cluster for row in drawn for cluster in row]
    least, best = (pick((cluster.score for cluster in every), default=0.0) for pick in (min, max))
    largest = max((cluster.programs for cluster in every), default=1)

    def circle(cluster: ClusterView) -> Circle:
        share = (cluster.score - least) / (best - least) if best > least else 1.0
        radius = max(2.5, LARGEST * (cluster.programs / largest) ** 0.5)
        return Circle(cluster, LARGEST + share * (WIDTH - 2 * LARGEST), radius)

    return [[circle(cluster) for cluster in row] for row in drawn]
