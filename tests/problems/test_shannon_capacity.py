"""Independent sets in powers of cycles: known sizes are reproduced, and only an independent set gets a score."""

import itertools
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.shannon_capacity import ShannonCapacity, verified_size
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.ports import Sandbox
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("shannon_capacity")
K, N = 7, 3
SIZE = 27
CONSTANT = "    return 0.0\n"

Vertex = tuple[int, ...]


def solve(source: str = CONSTANT, k: int = K, n: int = N) -> list[Vertex]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), ShannonCapacity.limits)
    vertices: list[Vertex] = process.call("solve", [k, n])
    return vertices


def adjacent(a: Vertex, b: Vertex, k: int) -> bool:
    """Returns whether two vertices are adjacent or equal, by the definition."""
    return all(x in (y, (y + 1) % k, (y - 1) % k) for x, y in zip(a, b, strict=True))


def is_independent(vertices: list[Vertex], k: int) -> bool:
    return not any(adjacent(a, b, k) for a, b in itertools.combinations(vertices, 2))


def test_constant_priority_and_the_first_program_give_the_known_sizes(sandbox: Sandbox) -> None:
    inputs = {**{f"C7_{n}": (7, n) for n in range(1, 6)}, "C9_3": (9, 3), "C9_4": (9, 4), "C11_4": (11, 4)}
    evaluator = PROBLEM.scorer(sandbox, inputs=inputs)
    for function in (Function(CONSTANT), PROBLEM.specification.first):
        outcome = evaluator.score(function)
        assert (outcome.status, outcome.error) == (Status.OK, "")
        assert list(outcome.scores.values()) == [3, 9, 27, 81, 243, 64, 256, 625]


def test_lattice_gives_the_best_known_sizes(sandbox: Sandbox) -> None:
    # With k = 2^n + 1, sums of 0, 1 or -1 times powers of two are not multiples of k unless all of them are 0.
    inputs = {"C5_2": (5, 2), "C9_3": (9, 3), "C17_4": (17, 4)}
    evaluator = PROBLEM.scorer(sandbox, inputs=inputs)
    body = "    return float(sum(x << i for i, x in enumerate(el)) % k == 0)\n"
    assert evaluator.score(Function(body)).scores == {"C5_2": 5, "C9_3": 81, "C17_4": 4913}


def test_equal_priorities_are_taken_in_lexicographic_order() -> None:
    vertices = solve()
    assert vertices == list(itertools.product((0, 2, 4), repeat=N))


@given(st.integers(0, 2**32 - 1), st.integers(3, 7), st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_any_priority_builds_a_maximal_independent_set(seed: int, k: int, n: int) -> None:
    vertices = solve(f"    return float(np.random.default_rng([{seed}, *el]).normal())\n", k, n)
    assert verified_size(vertices, k, n) == len(vertices)
    assert is_independent(vertices, k)
    for vertex in np.ndindex(*(k,) * n):
        with pytest.raises(InvalidSolution, match="twice" if vertex in vertices else "adjacent"):
            verified_size([*vertices, vertex], k, n)


@given(st.data(), st.integers(3, 8), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_sets_are_accepted_if_and_only_if_they_are_independent(data: st.DataObject, k: int, n: int) -> None:
    vertices = data.draw(st.lists(st.tuples(*[st.integers(0, k - 1)] * n), max_size=6))
    if is_independent(vertices, k):
        assert verified_size(vertices, k, n) == len(vertices)
    else:
        with pytest.raises(InvalidSolution):
            verified_size(vertices, k, n)


@given(st.integers(0, SIZE - 1), st.integers(0, N - 1), st.sampled_from([-1, 1, 3]))
@settings(deadline=None)
def test_near_miss_is_rejected_or_scored_correctly(index: int, position: int, step: int) -> None:
    vertices = solve()
    changed = list(vertices[index])
    changed[position] = (changed[position] + step) % K
    vertices[index] = tuple(changed)
    if is_independent(vertices, K):
        assert verified_size(vertices, K, N) == SIZE
    else:
        with pytest.raises(InvalidSolution, match=r"adjacent|twice"):
            verified_size(vertices, K, N)


def test_first_and_last_vertex_of_the_cycle_are_adjacent() -> None:
    with pytest.raises(InvalidSolution, match=r"two vertices are adjacent: \(0, 0\) and \(6, 6\)"):
        verified_size([(0, 0), (6, 6)], 7, 2)
    assert verified_size([(0, 0), (5, 0)], 7, 2) == 2


@given(
    st.integers(0, SIZE - 1),
    st.integers(0, N - 1),
    st.sampled_from([K, -1, 1.0, True, None, "1", float("nan"), 2**70]),
)
@settings(deadline=None)
def test_wrong_entry_is_rejected_at_any_position(index: int, position: int, entry: Any) -> None:
    vertices: list[Any] = [list(vertex) for vertex in solve()]
    vertices[index][position] = entry
    with pytest.raises(InvalidSolution, match=r"entries other than 0 \.\.\. 6"):
        verified_size(vertices, K, N)


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE))
@settings(deadline=None)
def test_repeated_vertex_is_rejected_as_tuple_and_as_list(index: int, place: int) -> None:
    vertices: list[Any] = solve()
    vertices.insert(place, list(vertices[index]))
    with pytest.raises(InvalidSolution, match="twice"):
        verified_size(vertices, K, N)


@pytest.mark.parametrize("vertex", [(0,) * (N - 1), (0,) * (N + 1), (), None, 7, "000", {0: 1}, np.zeros(N, int)])
def test_malformed_vertex_is_rejected(vertex: Any) -> None:
    with pytest.raises(InvalidSolution, match="not a vector of length 3"):
        verified_size([*solve(), vertex], K, N)


@pytest.mark.parametrize("answer", [None, 27, 27.0, "set", {}, ((0,) * N,), np.zeros((2, N), int)])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        verified_size(answer, K, N)


def test_more_vertices_than_possible_are_rejected_without_being_read() -> None:
    with pytest.raises(InvalidSolution, match="344 vertices; at most 343 are possible"):
        verified_size([None] * 344, K, N)


def test_small_sets_are_accepted() -> None:
    assert verified_size([], K, N) == 0
    assert verified_size([[0, 6]], 7, 2) == 1
    assert verified_size([(1,)], 3, 1) == 1


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("7", "is not a pair"),
        ("(7, 4, 1)", "is not a pair"),
        ("(7, 4.0)", "is not a pair"),
        ("(7, True)", "is not a pair"),
        ("'74'", "is not a pair"),
        ("(2, 4)", "not a valid cycle length: give an integer of at least 3"),
        ("(-7, 4)", "not a valid cycle length"),
        ("(7, 0)", r"not a valid power: give a positive integer with 7\^n of at most 1000000"),
        ("(7, 8)", "not a valid power"),
        ("(7, 1000000000)", "not a valid power"),
    ],
)
def test_invalid_cycle_or_power_is_rejected(value: str, fault: str) -> None:
    with pytest.raises(ProblemError, match=rf"--input a=.*{fault}"):
        load_problem("shannon_capacity", inputs=[f"a={value}"])


def test_prompt_is_short_and_shows_the_function_only() -> None:
    prompt = best_shot_prompt(PROBLEM.specification, [PROBLEM.specification.first])
    assert prompt.startswith('"""Finds large independent sets in the n-th strong power of the cyclic graph C_k.')
    assert "def solve" not in prompt
    assert len(prompt) < 1000
