"""Cap sets: known sizes are reproduced, and only a cap set gets a score."""

from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.cap_set import CapSet, verified_size
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.ports import Sandbox
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("cap_set")
N = 4


def solve(source: str = "    return 0.0\n", n: int = N) -> list[tuple[int, ...]]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), CapSet.limits)
    vectors: list[tuple[int, ...]] = process.call("solve", [n])
    return vectors


@pytest.mark.parametrize("function", [PROBLEM.specification.first, Function("    return 0.0\n")])
def test_first_program_and_a_constant_priority_give_the_known_sizes(function: Function, sandbox: Sandbox) -> None:
    dimensions = range(3, 10)
    evaluator = PROBLEM.scorer(sandbox, inputs={f"n{n}": n for n in dimensions})
    outcome = evaluator.score(function)
    assert (outcome.status, outcome.error) == (Status.OK, "")
    assert list(outcome.scores.values()) == [8, 16, 32, 64, 128, 256, 512]


def test_equal_priorities_are_taken_in_lexicographic_order() -> None:
    vectors = solve()
    assert vectors == sorted(vectors)
    assert vectors[0] == (0,) * N


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_any_priority_builds_a_maximal_cap_set(seed: int, n: int) -> None:
    body = f"    return float(np.random.default_rng([{seed}, *el]).normal())\n"
    vectors = solve(body, n)
    assert verified_size(vectors, n) == len(vectors)
    for vector in np.ndindex(*(3,) * n):
        if vector not in vectors:
            with pytest.raises(InvalidSolution):
                verified_size([*vectors, vector], n)


@given(st.data())
@settings(deadline=None)
def test_any_line_is_found(data: st.DataObject) -> None:
    points = st.tuples(*[st.integers(0, 2)] * N)
    vectors = data.draw(st.lists(points, unique=True, max_size=12))
    members = set(vectors)
    third = {tuple(-(x + y) % 3 for x, y in zip(a, b, strict=True)) for a in vectors for b in vectors if a != b}
    if third & members:
        with pytest.raises(InvalidSolution, match="on a line"):
            verified_size(vectors, N)
    else:
        assert verified_size(vectors, N) == len(vectors)


@given(st.integers(0, 15), st.integers(0, N - 1), st.sampled_from([3, -1, 1.0, True, None, "1", float("nan"), 2**70]))
def test_wrong_entry_is_rejected_at_any_position(index: int, position: int, entry: Any) -> None:
    vectors: list[Any] = [list(vector) for vector in solve()]
    vectors[index][position] = entry
    with pytest.raises(InvalidSolution, match="entries other than 0, 1, 2"):
        verified_size(vectors, N)


@given(st.integers(0, 15), st.integers(0, 15))
def test_repeated_vector_is_rejected(index: int, place: int) -> None:
    vectors = solve()
    vectors.insert(place, vectors[index])
    with pytest.raises(InvalidSolution, match="twice"):
        verified_size(vectors, N)


@pytest.mark.parametrize("vector", [(0,) * (N - 1), (0,) * (N + 1), (), None, 7, "0000", {0: 1}, np.zeros(N, int)])
def test_malformed_vector_is_rejected(vector: Any) -> None:
    with pytest.raises(InvalidSolution, match="not a vector of length 4"):
        verified_size([*solve(), vector], N)


@pytest.mark.parametrize("answer", [None, 20, 20.0, "cap", {}, ((0,) * N,), np.zeros((2, N), int)])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        verified_size(answer, N)


def test_more_vectors_than_possible_are_rejected_without_being_read() -> None:
    with pytest.raises(InvalidSolution, match="82 vectors; at most 81 are possible"):
        verified_size([None] * 82, N)


def test_small_cap_sets_are_accepted() -> None:
    assert verified_size([], N) == 0
    assert verified_size([[0, 0]], 2) == 1


@pytest.mark.parametrize("value", ["0", "13", "-1", "2.0", "True", "'8'", "[8]", "None"])
def test_invalid_dimension_is_rejected(value: str) -> None:
    with pytest.raises(ProblemError, match=r"--input n=.* is not a valid dimension: give an integer from 1 to 12"):
        load_problem("cap_set", inputs=[f"n={value}"])


def test_prompt_is_short_and_shows_the_function_only() -> None:
    assert (
        best_shot_prompt(PROBLEM.specification, [PROBLEM.specification.first])
        == '''\
"""Finds large cap sets: sets of vectors in F_3^n with no three on a line."""

import itertools

import numpy as np


def priority_v0(el: tuple[int, ...], n: int) -> float:
    """Returns the priority with which to add the vector `el` to the cap set in dimension `n`."""
    twos = el.count(2)
    return float(twos == 0)


def priority_v1(el: tuple[int, ...], n: int) -> float:
    """Improved version of `priority_v0`."""
'''
    )
