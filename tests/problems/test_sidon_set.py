"""Sidon sets: known sizes are reproduced, and only a Sidon set gets a score."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.sidon_set import SidonSet, verified_size
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

PROBLEM = load_problem("sidon_set")
MIAN_CHOWLA = [1, 2, 4, 8, 13, 21, 31, 45, 66, 81, 97, 123, 148, 182, 204, 252, 290, 361, 401, 475]
"""OEIS A005282 up to 500."""
LONGEST_FOR_500 = [0, 1, 33, 83, 104, 110, 124, 163, 185, 200, 203, 249, 251]
LONGEST_FOR_500 += [258, 314, 318, 343, 356, 386, 430, 440, 456, 464, 475, 487, 492]
"""The optimal Golomb ruler of 26 marks."""


def solve(source: str, n: int) -> list[int]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), SidonSet.limits)
    elements: list[int] = process.call("solve", [n])
    return elements


def outcome(function: Function, sandbox: Sandbox | None = None) -> Outcome:
    everything = {**PROBLEM.inputs, **PROBLEM.heldout}
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=everything).score(function)


def is_sidon(elements: list[int]) -> bool:
    """Returns whether all differences are distinct, which is equivalent."""
    differences = [abs(a - b) for a, b in combinations(elements, 2)]
    return len(set(differences)) == len(differences) and 0 not in differences


def test_first_program_gives_the_stated_sizes(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    assert first.scores == {"n500": 21, "n250": 16, "n1000": 28}


@pytest.mark.parametrize(("name", "sizes"), [("Mian-Chowla", (15, 20, 27)), ("Ruzsa", (13, 22, 30))])
def test_baselines_give_the_stated_sizes(name: str, sizes: tuple[int, int, int]) -> None:
    scores = outcome(read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])).scores
    assert (scores["n250"], scores["n500"], scores["n1000"]) == sizes


def test_equal_priorities_give_the_mian_chowla_sequence() -> None:
    assert solve("    return 0.0\n", 500) == MIAN_CHOWLA


def test_best_known_set_gets_its_size_and_can_be_found_by_priorities() -> None:
    best = [mark + 1 for mark in LONGEST_FOR_500]
    assert verified_size(best, 500) == 26
    assert sorted(solve(f"    return float(x in {best})\n", 500)) == best


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_any_priority_builds_a_maximal_sidon_set(seed: int, n: int) -> None:
    elements = solve(f"    return float(np.random.default_rng([{seed}, x]).normal())\n", n)
    assert verified_size(elements, n) == len(elements)
    for x in set(range(1, n + 1)) - set(elements):
        with pytest.raises(InvalidSolution, match="equal sums"):
            verified_size([*elements, x], n)


@given(st.lists(st.integers(1, 60), unique=True, max_size=8))
@settings(deadline=None)
def test_equal_sums_are_always_found(elements: list[int]) -> None:
    if is_sidon(elements):
        assert verified_size(elements, 60) == len(elements)
    else:
        with pytest.raises(InvalidSolution, match="equal sums"):
            verified_size(elements, 60)


@given(st.permutations(MIAN_CHOWLA), st.integers(0, 19), st.sampled_from([-1, 1]))
@settings(deadline=None)
def test_moving_one_element_by_one_is_scored_correctly(order: list[int], index: int, step: int) -> None:
    order[index] += step
    if 0 not in order and is_sidon(order):
        assert verified_size(order, 500) == 20
    else:
        with pytest.raises(InvalidSolution):
            verified_size(order, 500)


def test_middle_of_two_others_is_rejected() -> None:
    with pytest.raises(InvalidSolution, match=r"two equal sums: 3 \+ 1 = 2 \+ 2"):
        verified_size([1, 2, 3], 3)


@given(st.integers(0, 19), st.sampled_from([0, -1, 501, 1.0, True, None, "1", float("nan"), float("inf"), 2**70, [1]]))
def test_wrong_element_is_rejected_at_any_position(index: int, element: Any) -> None:
    elements: list[Any] = list(MIAN_CHOWLA)
    elements[index] = element
    with pytest.raises(InvalidSolution, match="not an integer from 1 to 500"):
        verified_size(elements, 500)


@given(st.integers(0, 19), st.integers(0, 20))
def test_repeated_element_is_rejected(index: int, place: int) -> None:
    elements = list(MIAN_CHOWLA)
    elements.insert(place, MIAN_CHOWLA[index])
    with pytest.raises(InvalidSolution, match="twice"):
        verified_size(elements, 500)


@pytest.mark.parametrize("answer", [None, 20, 20.0, "set", {1, 2}, {1: 2}, (1, 2), np.array([1, 2])])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        verified_size(answer, 500)


def test_more_elements_than_possible_are_rejected_without_being_read() -> None:
    with pytest.raises(InvalidSolution, match="6 elements; at most 5 are possible"):
        verified_size([None] * 6, 5)


def test_all_numbers_are_rejected_at_once() -> None:
    with pytest.raises(InvalidSolution, match="equal sums"):
        verified_size(list(range(1, 20_001)), 20_000)


def test_small_sets_are_accepted() -> None:
    assert [verified_size(elements, 500) for elements in ([], [500], [1, 500], [1, 2, 5, 7])] == [0, 1, 2, 4]


@pytest.mark.parametrize("value", ["0", "20001", "-1", "500.0", "True", "'500'", "[500]", "None"])
def test_invalid_input_is_rejected(value: str) -> None:
    with pytest.raises(ProblemError, match=r"--input n=.* is not a valid n: give an integer from 1 to 20000"):
        load_problem("sidon_set", inputs=[f"n={value}"])


def test_smallest_input_is_solved() -> None:
    assert load_problem("sidon_set", inputs=["n=1"]).inputs == {"n": 1}
    assert solve("    return 0.0\n", 1) == [1]
