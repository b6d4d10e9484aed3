"""An island: what it counts, which program it holds for the best, and at what temperature it asks to be drawn from."""

from typing import Any

import pytest
from evaluations import program

from funsearch.core.island import Cluster, Island
from funsearch.core.records import Program


class Newest:
    """An index that draws the newest clusters' first programs, and remembers the temperatures it was asked with."""

    def __init__(self) -> None:
        self.clusters: list[Cluster] = []
        self.asked: list[tuple[float, float]] = []

    def add(self, cluster: Cluster) -> None:
        self.clusters.append(cluster)

    def draw(self, rng: Any, count: int, temperature: float, length_temperature: float) -> list[Program]:
        self.asked.append((temperature, length_temperature))
        return [cluster.programs[0] for cluster in reversed(self.clusters)][:count]


def island(*programs: Program, index: Newest | None = None) -> Island:
    made = Island(index or Newest(), resets=0)
    for one in programs:
        made.register(one)
    return made


def test_programs_of_one_signature_share_a_cluster() -> None:
    index = Newest()
    made = island(program(0, 1.0), program(1, 2.0), program(2, 1.0), index=index)
    assert (made.programs, made.clusters) == (3, 2)
    assert [[one.id for one in cluster.programs] for cluster in index.clusters] == [[0, 2], [1]]


def test_cluster_knows_its_shortest_and_longest_program() -> None:
    cluster = Cluster(program(0, 1.0, length=20))
    for length in (30, 10, 25):
        cluster.add(program(length, 1.0, length=length))
    assert (cluster.shortest, cluster.longest, list(cluster.lengths)) == (10, 30, [20, 30, 10, 25])


@pytest.mark.parametrize(("scores", "best"), [((1.0, 1.0), 0), ((1.0, 2.0, 2.0), 1), ((3.0, 2.0), 0), ((-5.0,), 0)])
def test_best_is_replaced_by_a_strictly_better_score_only(scores: tuple[float, ...], best: int) -> None:
    made = island(*(program(id, score) for id, score in enumerate(scores)))
    assert made.best is not None
    assert made.best.id == best


def test_empty_island_has_no_best() -> None:
    assert island().best is None


def test_island_holds_the_keys_of_its_programs_and_never_the_empty_one() -> None:
    made = island(program(0, 1.0, key="k"), program(1, 1.0, key=""))
    assert [made.holds(key) for key in ("k", "other", "")] == [True, False, False]


def test_drawn_programs_ascend_and_ties_stay_as_drawn() -> None:
    made = island(program(0, 2.0), program(1, 1.0), Program(2, program(2, 1.0).function, (7.0, 1.0), 1.0, 0, ()))
    assert [one.id for one in made.draw(None, 3, 0.1, 10, 1.0)] == [2, 1, 0]


def test_temperature_falls_with_the_programs_here_and_starts_again() -> None:
    index = Newest()
    made = Island(index, resets=0)
    for id in range(5):
        made.register(program(id, float(id)))
        made.draw(None, 1, 0.8, 4, 2.0)
    assert index.asked == [(pytest.approx(temperature), 2.0) for temperature in (0.6, 0.4, 0.2, 0.8, 0.6)]
