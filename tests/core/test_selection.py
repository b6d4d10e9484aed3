"""Selection: the ranked draws against their formula, the reference's against its own, draw by draw."""

import math

import numpy as np
import pytest
from evaluations import FIRST, Bodies, evaluation, on
from hypothesis import given
from hypothesis import strategies as st

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.island import Island
from funsearch.core.records import Function, Program
from funsearch.core.selection import Cluster, RankedSelection, ReferenceSelection, draw_ranks, softmax


def program(id: int, score: float, length: int = 10) -> Program:
    return Program(id, Function("x" * length), (score,), score, 0, (), str(id))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(1e-3, 10))
def test_softmax_sums_to_one_and_keeps_the_order(logits: list[float], temperature: float) -> None:
    weights = softmax(np.array(logits), temperature)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= -1e-12).all()
    assert weights[int(np.argmax(logits))] == pytest.approx(weights.max())


@given(st.integers(1, 10**6), st.integers(1, 5), st.floats(1e-6, 5.0), st.integers(0, 2**32 - 1))
def test_ranks_are_distinct_and_in_range(size: int, count: int, temperature: float, seed: int) -> None:
    count = min(size, count)
    ranks = draw_ranks(np.random.default_rng(seed), size, count, temperature)
    assert len(set(ranks)) == count
    assert all(0 <= rank < size for rank in ranks)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_first_and_second_rank_come_as_often_as_the_formula_says(temperature: float) -> None:
    size, trials = 6, 20_000
    rng = np.random.default_rng(5)
    drawn = np.array([draw_ranks(rng, size, 2, temperature) for _ in range(trials)])
    weights = np.exp(-np.arange(size) / (size - 1) / temperature)
    first = weights / weights.sum()
    second = sum(
        first[i] * np.where(np.arange(size) == i, 0, weights / (weights.sum() - weights[i])) for i in range(size)
    )
    for column, expected in ((0, first), (1, second)):
        seen = np.bincount(drawn[:, column], minlength=size) / trials
        assert np.abs(seen - expected).max() < 5 * math.sqrt(0.25 / trials)


@given(st.lists(st.floats(-100, 100, allow_nan=False), min_size=2, max_size=30, unique=True), st.integers(0, 1000))
def test_ranked_draws_do_not_see_the_scale_of_scores(scores: list[float], seed: int) -> None:
    drawn = []
    for stretch in (lambda s: s, lambda s: 1000 * s - 7):
        island = Island(RankedSelection().index(), 0)
        stretched = [stretch(score) for score in scores]
        if len(set(stretched)) < len(scores):
            return
        for id, score in enumerate(stretched):
            island.register(program(id, score))
        drawn.append([p.id for p in island.draw(np.random.default_rng(seed), 2, 0.1, 30_000, 1.0)])
    assert drawn[0] == drawn[1]


def test_shorter_programs_are_likelier() -> None:
    cluster = Cluster(program(0, 1.0, length=10))
    cluster.add(program(1, 1.0, length=100))
    weights = cluster.length_weights(1.0)
    assert weights == pytest.approx(np.exp([0, -0.9]) / np.exp([0, -0.9]).sum(), rel=1e-6)


def naive_reference_prompt(rng: np.random.RandomState, islands: list[list[Program]], k: int, t0: float, period: int):  # type: ignore[no-untyped-def]
    """The published formulas, written down plainly: dictionaries walked and softmaxes made anew for every prompt."""

    def reference_softmax(logits: list[float], temperature: float) -> np.ndarray:  # type: ignore[type-arg]
        scaled = np.array(logits, dtype=float) / temperature
        result = np.exp(scaled - scaled.max()) / np.exp(scaled - scaled.max()).sum()
        top = np.argmax(result)
        result[top] = 1 - np.sum(result[0:top]) - np.sum(result[top + 1 :])
        return result

    number = rng.randint(len(islands))
    clusters: dict[tuple, list[Program]] = {}  # type: ignore[type-arg]
    for one in islands[number]:
        clusters.setdefault(one.scores, []).append(one)
    temperature = t0 * (1 - (len(islands[number]) % period) / period)
    signatures = list(clusters)
    p = reference_softmax([clusters[s][0].score for s in signatures], temperature)
    chosen = []
    for index in rng.choice(len(signatures), size=min(len(clusters), k), p=p):
        programs = clusters[signatures[index]]
        lengths = np.array([len(one.function.body) for one in programs], dtype=float)
        shape = -(lengths - lengths.min()) / (lengths.max() + 1e-6)
        chosen.append(programs[rng.choice(len(programs), p=reference_softmax(list(shape), 1.0))])
    order = np.argsort([one.score for one in chosen])
    return number, [chosen[i].id for i in order]


def test_reference_selection_draws_what_the_published_formulas_draw() -> None:
    made = ProgramsDatabase(
        Bodies(), ("a", "b"), DatabaseConfig("reference", islands=3, temperature_period=40), seed=11
    )
    made.register(evaluation(FIRST, "first", 0.0, 0.0))
    islands = [[made.program(0)] for _ in range(3)]
    world = np.random.RandomState(2)
    for step in range(300):
        rng = ReferenceSelection().generator(11, 0, step)
        prompt = made.get_prompt(step)
        assert (prompt.island, list(prompt.parents)) == naive_reference_prompt(rng, islands, 2, 0.1, 40)
        score = round(float(world.randn()) * 0.1, 1)
        body = "y" * world.randint(1, 60) + str(step)
        registration = made.register(evaluation(on(prompt.island), body, score, score))
        islands[prompt.island].append(made.program(registration.id))


def test_reference_reset_keeps_and_founds_as_published() -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig("reference", islands=5, reset_period=None), seed=4)
    made.register(evaluation(FIRST, "first", 0.0, 0.0))
    best = [0.0] * 5
    world = np.random.RandomState(9)
    for step in range(20):
        island, score = int(world.randint(5)), float(world.randn())
        made.register(evaluation(on(island), f"p{step}", score, score))
        best[island] = max(best[island], score)
    rng = ReferenceSelection().generator(4, 1, 0)
    order = np.argsort(np.array(best) + rng.randn(5) * 1e-6)
    emptied, kept = order[:2], order[2:]
    founders = [made.islands[rng.choice(kept)].best.id for _ in emptied]  # type: ignore[union-attr]
    reset = made.reset_islands()
    assert (list(reset.islands), list(reset.founders)) == (emptied.tolist(), founders)
