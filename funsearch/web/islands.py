"""Lays out the map of islands and their clusters. Knows nothing about where they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from funsearch.storage.views import ClusterView

WIDTH = 440
MIN_RADIUS, MAX_RADIUS = 2.5, 11.0
MAX_CIRCLES = 40
"""Clusters of an island that are drawn; the best ones are chosen."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A cluster on the map."""

    cluster: ClusterView
    x: float
    radius: float


def circles(clusters: Sequence[ClusterView], islands: int) -> list[list[Circle]]:
    """Returns the best clusters of each island as circles: the higher the score, the further to the right."""
    rows = [[cluster for cluster in clusters if cluster.island == number][:MAX_CIRCLES] for number in range(islands)]
    drawn = [cluster for row in rows for cluster in row]
    least, best = (pick((cluster.score for cluster in drawn), default=0.0) for pick in (min, max))
    largest = max((cluster.programs for cluster in drawn), default=1)

    def circle(cluster: ClusterView) -> Circle:
        share = (cluster.score - least) / (best - least) if best > least else 1.0
        radius = max(MIN_RADIUS, MAX_RADIUS * (cluster.programs / largest) ** 0.5)
        return Circle(cluster, MAX_RADIUS + share * (WIDTH - 2 * MAX_RADIUS), radius)

    return [[circle(cluster) for cluster in row] for row in rows]
