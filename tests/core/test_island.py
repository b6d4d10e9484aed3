"""An island: its counts, its best program, and the temperature of its draws."""

import pytest
from evaluations import program

from funsearch.core.island import Cluster, Island
from funsearch.core.records import Program


class Newest:
    """An index that draws the first programs of the newest clusters, and records the temperatures of the draws."""

    def __init__(self) -> None:
        self.clusters: list[Cluster] = []
        self.temperatures: list[tuple[float, float]] = []

    def add(self, cluster: Cluster) -> None:
        self.clusters.append(cluster)

    def draw(self, rng: None, count: int, temperature: float, length_temperature: float) -> list[Program]:
        self.temperatures.append((temperature, length_temperature))
        return [cluster.programs[0] for cluster in reversed(self.clusters)][:count]


def make_island(*programs: Program, index: Newest | None = None) -> Island[None]:
    island = Island(index or Newest(), resets=0)
    for member in programs:
        island.register(member)
    return island


def test_programs_with_the_same_signature_share_a_cluster() -> None:
    index = Newest()
    island = make_island(program(0, 1.0), program(1, 2.0), program(2, 1.0), index=index)
    assert (island.programs, island.clusters) == (3, 2)
    assert [[program.id for program in cluster.programs] for cluster in index.clusters] == [[0, 2], [1]]


def test_cluster_has_the_lengths_of_its_shortest_and_longest_programs() -> None:
    cluster = Cluster(program(0, 1.0, length=20))
    for length in (30, 10, 25):
        cluster.add(program(length, 1.0, length=length))
    assert (cluster.shortest, cluster.longest, list(cluster.lengths)) == (10, 30, [20, 30, 10, 25])


@pytest.mark.parametrize(("scores", "best"), [((1.0, 1.0), 0), ((1.0, 2.0, 2.0), 1), ((3.0, 2.0), 0), ((-5.0,), 0)])
def test_best_is_replaced_only_by_a_strictly_better_score(scores: tuple[float, ...], best: int) -> None:
    island = make_island(*(program(id, score) for id, score in enumerate(scores)))
    assert island.best is not None
    assert island.best.id == best


def test_empty_island_has_no_best() -> None:
    assert make_island().best is None


def test_island_holds_the_keys_of_its_programs_but_not_the_empty_key() -> None:
    island = make_island(program(0, 1.0, key="k"), program(1, 1.0, key=""))
    assert [island.holds(key) for key in ("k", "other", "")] == [True, False, False]


def test_programs_are_in_ascending_order_of_score_and_ties_in_drawing_order() -> None:
    island = make_island(
        program(0, 2.0),
        program(1, 1.0),
        Program(id=2, function=program(2, 1.0).function, scores=(7.0, 1.0), score=1.0, island=0, parents=()),
    )
    assert [program.id for program in island.draw(None, 3, 0.1, 10, 1.0)] == [2, 1, 0]


def test_temperature_falls_with_the_number_of_programs_and_is_restored() -> None:
    index = Newest()
    island = Island(index, resets=0)
    for id in range(5):
        island.register(program(id, float(id)))
        island.draw(None, 1, 0.8, 4, 2.0)
    assert index.temperatures == [(pytest.approx(temperature), 2.0) for temperature in (0.6, 0.4, 0.2, 0.8, 0.6)]
