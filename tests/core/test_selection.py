"""Selection: ranked draws compared with their formula, reference draws with the formulas of the paper, call by call."""

import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from evaluations import FIRST, Bodies, evaluation, on, program
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.island import Cluster, ClusterIndex
from funsearch.core.records import Program
from funsearch.core.selection import (
    BLOCK_SIZE,
    RankedSelection,
    ReferenceSelection,
    SortedClusters,
    draw_programs,
    draw_ranks,
    softmax,
)

finite = st.floats(allow_nan=False, allow_infinity=False)


class Points:
    """A random generator that returns the given points as its uniform draws."""

    def __init__(self, *points: float) -> None:
        self._points: Iterator[float] = iter(points)

    def random(self) -> float:
        return next(self._points)


def rank_weights(size: int, temperature: float) -> NDArray[np.float64]:
    """Returns exp(x / T) for ranks 0, 1, ..., where x falls from 1 to 0, relative to the best rank."""
    return np.exp(-np.arange(size) / max(size - 1, 1) / temperature)


def expect_frequencies(seen: Sequence[int], probabilities: NDArray[np.float64]) -> None:
    """Asserts that counts are within five standard errors of their expected values."""
    trials = sum(seen)
    spread = np.sqrt(probabilities * (1 - probabilities) / trials)
    assert (np.abs(np.array(seen) / trials - probabilities) <= 5 * spread + 1e-9).all()


# By rank


@given(st.integers(2, 40), st.floats(0.05, 5), st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4))
def test_each_rank_has_its_share_of_the_unit_interval(size: int, t: float, points: list[float]) -> None:
    points = points[:size]
    weights = rank_weights(size, t)
    for point, rank in zip(points, draw_ranks(Points(*points), size, len(points), t), strict=True):  # type: ignore[arg-type]
        ends = np.cumsum(weights / weights.sum())
        assert ends[-1] == pytest.approx(1)
        assert ends[rank] - weights[rank] / weights.sum() - 1e-9 <= point <= ends[rank] + 1e-9
        weights[rank] = 0.0


@given(st.integers(1, 10**6), st.integers(1, 5), finite.filter(lambda t: t > 0), st.integers(0, 2**32 - 1))
def test_ranks_are_distinct_and_in_range_at_any_temperature(size: int, count: int, t: float, seed: int) -> None:
    count = min(size, count)
    ranks = draw_ranks(np.random.default_rng(seed), size, count, t)
    assert len(set(ranks)) == count
    assert all(0 <= rank < size for rank in ranks)


@pytest.mark.parametrize("size", [2, 3, 10, 1000])
@pytest.mark.parametrize("temperature", [1e-300, 1e-6])
def test_draws_at_low_temperature_are_the_best_ranks_in_order(size: int, temperature: float) -> None:
    count = min(size, 3)
    assert draw_ranks(np.random.default_rng(1), size, count, temperature) == list(range(count))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_first_and_second_draws_have_the_frequencies_of_the_formula(temperature: float) -> None:
    size = 6
    rng = np.random.default_rng(5)
    drawn = np.array([draw_ranks(rng, size, 2, temperature) for _ in range(20_000)])
    weights = rank_weights(size, temperature)
    first = weights / weights.sum()
    second = np.zeros(size)
    for rank in range(size):
        others = np.where(np.arange(size) == rank, 0, weights)
        second += first[rank] * others / others.sum()
    expect_frequencies(np.bincount(drawn[:, 0], minlength=size).tolist(), first)
    expect_frequencies(np.bincount(drawn[:, 1], minlength=size).tolist(), second)


def test_ranks_follow_the_scores_and_ties_go_to_the_newer_cluster() -> None:
    scores = np.random.default_rng(3).integers(0, 50, size=5 * BLOCK_SIZE).astype(float).tolist()
    ranked = SortedClusters()
    for id, score in enumerate(scores):
        ranked.add(Cluster(program(id, score)))
    expected = sorted(range(len(scores)), key=lambda id: (scores[id], id), reverse=True)
    assert [ranked[rank].programs[0].id for rank in range(len(ranked))] == expected
    with pytest.raises(IndexError):
        ranked[len(scores)]


def index_of(sizes_and_scores: Sequence[tuple[int, float]], index: ClusterIndex[Any]) -> ClusterIndex[Any]:
    """Adds a cluster for each size and score to the index; program n of cluster c has the id 100 * c + n."""
    for number, (size, score) in enumerate(sizes_and_scores):
        cluster = Cluster(program(100 * number, score))
        index.add(cluster)
        for n in range(1, size):
            cluster.add(program(100 * number + n, score, length=10 + n))
    return index


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(1, 8), st.integers(0, 1000))
def test_no_program_is_shown_twice_and_clusters_repeat_only_when_too_few(sizes: list[int], k: int, seed: int) -> None:
    index = index_of([(size, float(n)) for n, size in enumerate(sizes)], RankedSelection().index())
    drawn = [program.id for program in index.draw(np.random.default_rng(seed), k, 0.3, 1.0)]
    assert len(set(drawn)) == len(drawn) == min(k, sum(sizes))
    assert len({id // 100 for id in drawn}) == min(k, len(sizes))


def test_missing_clusters_are_replaced_by_programs_of_the_others_in_turn() -> None:
    index = index_of([(5, 2.0), (1, 1.0), (5, 0.0)], RankedSelection().index())
    for seed in range(20):
        drawn = index.draw(np.random.default_rng(seed), 5, 0.5, 1.0)
        assert sorted(Counter(program.id // 100 for program in drawn).values()) == [1, 2, 2]


@given(st.data(), st.integers(1, 30), st.integers(0, 1000))
def test_ranked_draws_depend_only_on_the_order_of_the_scores(data: st.DataObject, size: int, seed: int) -> None:
    scales = st.lists(finite, min_size=size, max_size=size, unique=True).map(sorted)
    order = data.draw(st.permutations(range(size)))
    drawn = []
    for scale in (data.draw(scales), data.draw(scales)):
        index = index_of([(1, scale[position]) for position in order], RankedSelection().index())
        drawn.append([program.id for program in index.draw(np.random.default_rng(seed), 2, 0.1, 1.0)])
    assert drawn[0] == drawn[1]


def cluster_of(*lengths: int) -> Cluster:
    cluster = Cluster(program(0, 1.0, length=lengths[0]))
    for id, length in enumerate(lengths[1:], start=1):
        cluster.add(program(id, 1.0, length=length))
    return cluster


@pytest.mark.parametrize(
    ("lengths", "temperature"),
    [
        ((10, 40, 100), 1.0),
        ((100, 100, 100, 100), 1.0),
        # One pick in 250 is a short program and the others are never accepted, so all weights have to be computed.
        ((1000, 1001, *[2000] * 500), 0.001),
    ],
)
def test_shorter_programs_have_the_higher_frequencies_of_the_formula(
    lengths: tuple[int, ...], temperature: float
) -> None:
    rng, cluster = np.random.default_rng(7), cluster_of(*lengths)
    drawn = [draw_programs(rng, cluster, 1, temperature)[0].id for _ in range(3_000)]
    logits = -(np.array(lengths) - min(lengths)) / (max(lengths) + 1e-6) / temperature
    expect_frequencies(np.bincount(drawn, minlength=len(lengths)).tolist(), np.exp(logits) / np.exp(logits).sum())


@pytest.mark.parametrize("temperature", [1e-300, 0.01, 1.0])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_programs_of_a_cluster_are_distinct_at_any_temperature(count: int, temperature: float) -> None:
    cluster = cluster_of(5, 900, 10, 200, 200, 10, 900, 7)
    drawn = [program.id for program in draw_programs(np.random.default_rng(2), cluster, count, temperature)]
    assert len(set(drawn)) == len(drawn) == count
    if temperature == 1e-300:
        assert drawn[:2] == [0, 7][:count]


def test_islands_with_equal_scores_are_equally_often_the_weakest() -> None:
    rng = np.random.default_rng(4)
    orders = [RankedSelection().weakest_first(rng, [2.0, 1.0, -math.inf, 1.0]) for _ in range(2_000)]
    assert {(order[0], order[3]) for order in orders} == {(2, 0)}
    expect_frequencies([sum(order[1] == island for order in orders) for island in (1, 3)], np.array([0.5, 0.5]))


# As the reference


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(1e-3, 10))
def test_softmax_sums_to_one_and_keeps_the_order(logits: list[float], temperature: float) -> None:
    weights = softmax(np.array(logits), temperature)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= -1e-12).all()
    assert weights[int(np.argmax(logits))] == pytest.approx(weights.max())


@given(st.lists(finite, min_size=1, max_size=10), st.floats(1e-6, 10))
def test_softmax_is_finite_for_any_finite_scores(logits: list[float], temperature: float) -> None:
    weights = softmax(np.array([*logits, sys.float_info.max]), temperature)
    assert np.isfinite(weights).all()
    assert weights.sum() == pytest.approx(1.0)


def naive_softmax(logits: Sequence[float], temperature: float) -> NDArray[np.float64]:
    scaled = np.array(logits, dtype=float) / temperature
    result = np.exp(scaled - np.max(scaled)) / np.sum(np.exp(scaled - np.max(scaled)))
    top = np.argmax(result)
    result[top] = 1 - np.sum(result[0:top]) - np.sum(result[top + 1 :])
    return np.array(result)


def naive_prompt(
    rng: np.random.RandomState, islands: Sequence[Sequence[Program]], k: int, period: int
) -> tuple[int, list[int]]:
    """Returns the island and programs by the published formulas, implemented naively: no state is kept."""
    number = rng.randint(len(islands))
    clusters: dict[tuple[float | None, ...], list[Program]] = {}
    for member in islands[number]:
        clusters.setdefault(member.scores, []).append(member)
    temperature = 0.1 * (1 - (len(islands[number]) % period) / period)
    probabilities = naive_softmax([programs[0].score for programs in clusters.values()], temperature)
    chosen = []
    for position in rng.choice(len(clusters), size=min(len(clusters), k), p=probabilities):
        programs = list(clusters.values())[position]
        lengths = np.array([len(program.function.body) for program in programs])
        shares = naive_softmax(-(lengths - lengths.min()) / (lengths.max() + 1e-6), 1.0)
        chosen.append(programs[rng.choice(len(programs), p=shares)])
    order = np.argsort([program.score for program in chosen], kind="stable")
    return int(number), [chosen[position].id for position in order]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_reference_selection_draws_by_the_published_formulas(k: int) -> None:
    config = DatabaseConfig(selection="reference", islands=3, functions_per_prompt=k, temperature_period=40)
    database = ProgramsDatabase(Bodies(), ("a", "b"), config, seed=11)
    database.register(evaluation(FIRST, "first", 0.0, 0.0))
    islands = [[database.program(0)] for _ in range(3)]
    world = np.random.RandomState(2)
    for step in range(300):
        prompt = database.get_prompt(step)
        expected = naive_prompt(ReferenceSelection().generator(11, 0, step), islands, k, 40)
        assert (prompt.island, list(prompt.parents)) == expected
        assert prompt.version == len(prompt.parents)
        score = round(float(world.randn()) * 0.1, 1)
        body = "y" * int(world.randint(1, 60)) + str(step)
        registration = database.register(evaluation(on(prompt.island), body, -score, score))
        islands[prompt.island].append(database.program(registration.id))


def test_reference_reset_chooses_islands_and_founders_as_published() -> None:
    database = ProgramsDatabase(
        Bodies(), ("a", "b"), DatabaseConfig(selection="reference", islands=5, reset_period=None), seed=4
    )
    database.register(evaluation(FIRST, "first", 0.0, 0.0))
    world = np.random.RandomState(9)
    for step in range(100):
        island = int(world.randint(5))
        score = float(world.randn()) + step / 20
        database.register(evaluation(on(island, database.islands[island].resets), f"p{step}", score, score))
        if step % 10 == 9:
            best = [island.best for island in database.islands]
            rng = ReferenceSelection().generator(4, 1, step // 10)
            order = np.argsort(np.array([program.score for program in best if program]) + rng.randn(5) * 1e-6)
            founders = [best[rng.choice(order[2:])] for _ in range(2)]
            reset = database.reset_islands()
            assert reset.islands == tuple(order[:2])
            assert reset.founders == tuple(founder.id for founder in founders if founder)


@pytest.mark.parametrize("selection", [RankedSelection(), ReferenceSelection()])
def test_draws_depend_on_every_part_of_the_key(selection: RankedSelection | ReferenceSelection) -> None:
    def draw(*key: int) -> float:
        return float(selection.generator(*key).uniform())

    keys = [(0, 0, 0), (1, 0, 0), (2**32 + 1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2**32 + 1)]
    assert len({draw(*key) for key in keys}) == len(keys)
    assert draw(5, 0, 3) == draw(5, 0, 3)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=20), st.sampled_from([RankedSelection(), ReferenceSelection()]))
def test_selections_accept_any_finite_scores(
    scores: list[float], selection: RankedSelection | ReferenceSelection
) -> None:
    index = index_of([(1, score) for score in scores], selection.index())
    assert len(index.draw(selection.generator(0), 2, 0.1, 1.0)) == min(2, len(scores))
    assert sorted(selection.weakest_first(selection.generator(1), scores)) == list(range(len(scores)))
