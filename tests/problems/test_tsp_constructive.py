"""Travelling salesman: the stated scores are reproduced, and only a round trip gets a score."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.tsp_constructive import (
    GRID,
    Instance,
    TspConstructive,
    clustered,
    improved,
    length,
    nearest_neighbour,
    read_instance,
    tour_length,
    uniform,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.code.reading import read_file
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import Sandbox
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("tsp_constructive")
CITIES = 8
SOME = uniform(1, CITIES, seed=5)[0]
SQUARE = Instance(((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)))


def solve(source: str, instance: Instance) -> list[int]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), TspConstructive.limits)
    tour: list[int] = process.call("solve", [np.array(instance.cities)])
    return tour


def outcome(function: Function, inputs: dict[str, Any], sandbox: Sandbox | None = None) -> Outcome:
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=inputs).score(function)


def baseline(name: str) -> Function:
    return read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])


def round_trip(tour: list[int], instance: Instance) -> float:
    """Returns the length of a tour, computed in another way."""
    return sum(math.dist(instance.cities[a], instance.cities[b]) for a, b in itertools.pairwise([*tour, tour[0]]))


def test_first_program_has_the_stated_scores_and_runs_in_the_sandbox(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, PROBLEM.inputs, sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    assert first.scores == pytest.approx({"uniform": -21.0, "clustered": -17.1}, abs=0.05)
    assert first.score == pytest.approx(np.mean(list(first.scores.values())))


@pytest.mark.parametrize(
    ("name", "scores"),
    [("in order", (-529.9, -804.8)), ("far from the start", (-10.6, -15.5)), ("lonely neighbour", (-13.8, -15.0))],
)
def test_baselines_have_the_stated_scores(name: str, scores: tuple[float, float]) -> None:
    assert tuple(outcome(baseline(name), PROBLEM.inputs).scores.values()) == pytest.approx(scores, abs=0.05)


def test_baselines_keep_their_order_on_heldout_inputs() -> None:
    inputs = {name: value[:10] for name, value in PROBLEM.heldout.items()}
    order, far, lonely = (outcome(baseline(name), inputs) for name in PROBLEM.evaluator.baselines)
    first = outcome(PROBLEM.specification.first, inputs)
    for name in inputs:
        assert order.scores[name] < first.scores[name] < min(far.scores[name], lonely.scores[name])


def test_first_program_is_nearest_neighbour() -> None:
    for instance in (*uniform(3, 40, seed=1), *clustered(3, 40, seed=1)):
        assert solve("    return -to_current\n", instance) == nearest_neighbour(instance.distances)


def test_equal_priorities_give_the_cities_in_order() -> None:
    assert solve("    return np.zeros(len(to_start))\n", SOME) == list(range(CITIES))


def test_function_sees_the_distances_of_unvisited_cities() -> None:
    body = """\
    if len(to_current) == 2:
        raise ValueError(f"{to_current.tolist()} {to_start.tolist()} {between.tolist()}")
    return np.arange(len(to_current)) == 1
"""
    score = outcome(Function(body), {"a": [Instance(((0.0, 0.0), (3.0, 0.0), (3.0, 4.0), (0.0, 4.0)))]})
    assert "[4.0, 3.0] [3.0, 4.0] [[0.0, 5.0], [5.0, 0.0]]" in score.error  # at city 2, with 1 and 3 to go to


@pytest.mark.parametrize("body", ["    return 1.0\n", "    return between\n", "    return to_start[:-1]\n"])
def test_priorities_of_another_shape_fail(body: str) -> None:
    assert outcome(Function(body), PROBLEM.inputs).status is Status.RUNTIME_ERROR


@given(st.integers(0, 2**32 - 1), st.integers(3, 12))
@settings(max_examples=30, deadline=None)
def test_any_priority_builds_a_tour_no_shorter_than_the_shortest(seed: int, count: int) -> None:
    instance = uniform(1, count, seed)[0]
    body = f"    return np.random.default_rng({seed}).normal(size=len(to_start))\n"
    tour = solve(body, instance)
    assert tour_length(tour, instance) == pytest.approx(round_trip(tour, instance))
    if count <= 6:
        shortest = min(round_trip([0, *rest], instance) for rest in itertools.permutations(range(1, count)))
        assert shortest <= min(instance.reference, tour_length(tour, instance)) * (1 + 1e-12)


@given(st.permutations(range(CITIES)))
@settings(deadline=None)
def test_length_of_a_tour_does_not_depend_on_start_and_direction(tour: list[int]) -> None:
    expected = pytest.approx(round_trip(tour, SOME))
    assert tour_length(tour, SOME) == expected
    assert tour_length(tour[::-1], SOME) == expected
    assert tour_length(tour[3:] + tour[:3], SOME) == expected


@given(st.permutations(range(CITIES)), st.integers(0, CITIES - 1), st.integers(0, CITIES - 1))
@settings(deadline=None)
def test_city_that_replaces_another_is_rejected(tour: list[int], place: int, city: int) -> None:
    if tour[place] == city:
        return
    tour[place] = city
    with pytest.raises(InvalidSolution, match="visited twice"):
        tour_length(tour, SOME)


@given(st.permutations(range(CITIES)), st.integers(0, CITIES - 1))
@settings(deadline=None)
def test_tour_with_one_city_too_many_or_too_few_is_rejected(tour: list[int], city: int) -> None:
    for other in (tour[:-1], [*tour, city], [*tour, tour[0]], [*tour, CITIES], []):
        with pytest.raises(InvalidSolution, match=f"a tour of length {len(other)} through 8 cities"):
            tour_length(other, SOME)


@given(
    st.integers(0, CITIES - 1),
    st.sampled_from([CITIES, -1, 1.0, True, None, "1", float("nan"), float("inf"), 2**70, [1], np.int64(1)]),
)
def test_wrong_city_is_rejected_at_any_position(place: int, city: Any) -> None:
    tour: list[Any] = list(range(CITIES))
    tour[place] = city
    with pytest.raises(InvalidSolution, match="not a city from 0 to 7"):
        tour_length(tour, SOME)


@pytest.mark.parametrize("answer", [None, 8, 8.0, "01234567", set(range(8)), {}, tuple(range(8)), np.arange(8)])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        tour_length(answer, SOME)


def test_local_search_undoes_a_crossing() -> None:
    crossed = [0, 1, 2, 3]
    assert length(SQUARE.distances, crossed) == pytest.approx(2 + 2 * math.sqrt(2))
    assert length(SQUARE.distances, improved(SQUARE.distances, crossed)) == 4.0
    assert SQUARE.reference == 4.0


@given(st.integers(0, 2**32 - 1), st.integers(4, 15))
@settings(max_examples=20, deadline=None)
def test_no_reversal_shortens_the_reference(seed: int, count: int) -> None:
    instance = uniform(1, count, seed)[0]
    tour = improved(instance.distances, nearest_neighbour(instance.distances))
    assert instance.reference == tour_length(tour, instance)
    for first, last in itertools.combinations(range(count + 1), 2):
        other = tour[:first] + tour[first:last][::-1] + tour[last:]
        assert tour_length(other, instance) >= instance.reference - 1e-8


def test_score_is_minus_the_mean_excess_in_percent() -> None:
    inputs = {"a": [SQUARE, Instance(((0.0, 0.0), (0.0, 1.0), (1.0, 0.0)))]}
    assert outcome(PROBLEM.specification.first, inputs).score == pytest.approx(0.0)
    crossed = 100 * ((2 + 2 * math.sqrt(2)) / 4 - 1)
    assert outcome(baseline("in order"), inputs).score == pytest.approx(-crossed / 2)


def test_tour_shorter_than_the_reference_has_a_positive_score() -> None:
    instance = uniform(1, 100, seed=9)[0]
    tour = improved(instance.distances, [0, *np.random.default_rng(1).permutation(range(1, 100)).tolist()])
    assert tour_length(tour, instance) < instance.reference
    body = f"    return np.arange(len(to_start)) == sorted({tour}[-len(to_start):]).index({tour}[-len(to_start)])\n"
    expected = 100 * (1 - tour_length(tour, instance) / instance.reference)
    assert outcome(Function(body), {"a": [instance]}).score == pytest.approx(expected)


@pytest.mark.parametrize("make", [uniform, clustered])
def test_recipes_are_seeded_and_within_the_square(make: Any) -> None:
    instances = make(3, 200, seed=7)
    assert instances == make(3, 200, seed=7)
    assert instances != make(3, 200, seed=8)
    cities = np.array([instance.cities for instance in instances])
    assert cities.shape == (3, 200, 2)
    assert 0 <= cities.min() <= cities.max() < 1
    assert (cities * GRID == np.rint(cities * GRID)).all()


def test_mean_length_of_references_is_as_stated() -> None:
    assert np.mean([instance.reference for instance in PROBLEM.heldout["uniform100"]]) == pytest.approx(8.13, abs=0.005)


def test_heldout_inputs_differ_from_those_of_the_search() -> None:
    searched = {instance.cities for value in PROBLEM.inputs.values() for instance in value}
    for others in (PROBLEM.heldout, PROBLEM.evaluator.selection):
        assert not searched & {instance.cities for value in others.values() for instance in value}


TINY = {"cities": [[0, 0], [3, 0], [0, 4.5]]}


@pytest.mark.parametrize("value", [TINY, [TINY, TINY], (TINY,)])
def test_literals_and_json_are_read(value: Any, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps(value))
    count = 1 if isinstance(value, dict) else len(value)
    problem = load_problem("tsp_constructive", inputs=[f"literal={value!r}", f"file=@{file}"])
    for instances in problem.inputs.values():
        assert [instance.cities for instance in instances] == [((0.0, 0.0), (3.0, 0.0), (0.0, 4.5))] * count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no instances"),
        ("5", "an instance is .*, not 5"),
        ("[[0, 0], [1, 0], [0, 1]]", "an instance is"),
        ('{"cities": 3}', "cities 3 are not a list of 3 to 500"),
        ('{"cities": [[0, 0], [1, 1]]}', "are not a list of 3 to 500"),
        (json.dumps({"cities": [[0, k] for k in range(501)]}), "are not a list of 3 to 500"),
        ('{"cities": [[0, 0], [1, 1], 5]}', "city 5 is not a pair"),
        ('{"cities": [[0, 0], [1, 1], [1, 2, 3]]}', "is not a pair"),
        ('{"cities": [[0, 0], [1, 1], [1, "2"]]}', "is not a pair"),
        ('{"cities": [[0, 0], [1, 1], [1, true]]}', "is not a pair"),
        ('{"cities": [[0, 0], [1, 1], [1, NaN]]}', "is not a pair"),
        ('{"cities": [[0, 0], [1, 1], [1, 1e10]]}', "is not a pair"),
        ('{"cities": [[7, 7], [7, 7], [7, 7]]}', "all cities are in one place"),
        ('{"cities": [[0, 0], [0, 0], [0, 1e-170]]}', "all cities are in one place"),
        ('{"cities": [[0, 0}', "Expecting"),
    ],
)
def test_invalid_file_is_rejected_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(ProblemError, match=f"--input x=@.*{message}"):
        load_problem("tsp_constructive", inputs=[f"x=@{file}"])


@given(st.lists(st.lists(st.floats() | st.integers(), min_size=2, max_size=2), min_size=3, max_size=6))
@settings(deadline=None)
def test_reading_an_instance_with_a_reference_succeeds_or_raises_value_error(cities: Any) -> None:
    try:
        instance = read_instance({"cities": cities})
    except ValueError:
        return
    assert 0 < instance.reference < math.inf


def test_class_declares_what_the_search_relies_on() -> None:
    assert TspConstructive.reduction == "mean"
    assert TspConstructive.partial == "reject"
