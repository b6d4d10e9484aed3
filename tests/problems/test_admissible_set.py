"""Symmetric admissible sets: known sizes are reproduced, and the check of orbits agrees with that of all members."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.admissible_set import ADMITTED, NONZERO, AdmissibleSet, clashing_triples, verified_size
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.ports import Sandbox
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("admissible_set")
N, W = 6, 3
CONSTANT = "    return 0.0\n"

Vector = tuple[int, ...]


def solve(source: str = CONSTANT, n: int = N, w: int = W) -> list[Vector]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), AdmissibleSet.limits)
    vectors: list[Vector] = process.call("solve", [n, w])
    return vectors


def members(vectors: list[Vector]) -> list[Vector]:
    """Returns all vectors of the orbits."""
    orbits = (
        itertools.product(*({triple[i:] + triple[:i] for i in range(3)} for triple in zip(*[iter(v)] * 3, strict=True)))
        for v in vectors
    )
    return [tuple(itertools.chain.from_iterable(triples)) for orbit in orbits for triples in orbit]


def is_admissible(vectors: list[Vector]) -> bool:
    """Checks the definition, vector by vector."""
    supports = {tuple(entry != 0 for entry in vector) for vector in vectors}
    return len(supports) == len(vectors) and all(
        any(sorted(column) in ([0, 1, 2], [0, 0, 1], [0, 0, 2]) for column in zip(*three, strict=True))
        for three in itertools.combinations(vectors, 3)
    )


def test_constant_priority_gives_the_known_sizes(sandbox: Sandbox) -> None:
    inputs = {"I6_3": (6, 3), "I9_5": (9, 5), "I12_7": (12, 7), "I15_10": (15, 10)}
    evaluator = PROBLEM.scorer(sandbox, inputs=inputs)
    outcome = evaluator.score(Function(CONSTANT))
    assert (outcome.status, outcome.error) == (Status.OK, "")
    assert outcome.scores == {"I6_3": 20, "I9_5": 126, "I12_7": 690, "I15_10": 1842}


def test_first_program_can_be_improved(sandbox: Sandbox) -> None:
    inputs = {**PROBLEM.inputs, **PROBLEM.heldout}
    evaluator = PROBLEM.scorer(sandbox, inputs=inputs)
    assert evaluator.score(PROBLEM.specification.first).scores == {"I12_7": 630, "I15_10": 1740}


def test_equal_priorities_are_taken_in_the_order_of_their_triples() -> None:
    assert solve()[0] == (0, 0, 0, 1, 1, 1)


@given(st.integers(0, 2**32 - 1), st.integers(1, N))
@settings(max_examples=20, deadline=None)
def test_any_priority_builds_a_maximal_admissible_set(seed: int, w: int) -> None:
    body = f"    return float(np.random.default_rng([{seed}, *el]).normal())\n"
    vectors = solve(body, w=w)
    assert verified_size(vectors, N, w) == len(members(vectors))
    assert is_admissible(members(vectors))
    for vector in itertools.product(range(3), repeat=N):
        if np.count_nonzero(vector) == w and vector not in vectors:
            with pytest.raises(InvalidSolution):
                verified_size([*vectors, vector], N, w)


@given(st.data(), st.integers(1, N))
@settings(max_examples=150, deadline=None)
def test_orbits_are_accepted_if_and_only_if_all_their_members_are_admissible(data: st.DataObject, w: int) -> None:
    every = [v for v in itertools.product(range(3), repeat=N) if np.count_nonzero(v) == w]
    vectors = data.draw(st.lists(st.sampled_from(every), max_size=4))
    if is_admissible(members(vectors)):
        assert verified_size(vectors, N, w) == len(members(vectors))
    else:
        with pytest.raises(InvalidSolution):
            verified_size(vectors, N, w)


def test_lighter_triples_never_clash_with_a_heavier_one() -> None:
    clashes = clashing_triples()
    for light, heavy in itertools.product(np.flatnonzero(ADMITTED), repeat=2):
        if NONZERO[light] < NONZERO[heavy]:
            # Rotations of the lighter one: any two, equal or not.
            assert not clashes[light, light, heavy]


@given(st.integers(1, N), st.data(), st.integers(0, N - 1), st.integers(0, N - 1), st.booleans())
@settings(deadline=None)
def test_near_miss_is_rejected_or_scored_correctly(
    w: int, data: st.DataObject, position: int, other: int, swap: bool
) -> None:
    vectors = solve(w=w)
    index = data.draw(st.integers(0, len(vectors) - 1))
    changed = list(vectors[index])
    if swap:
        changed[position], changed[other] = changed[other], changed[position]
    else:
        changed[position] = (changed[position] + 1) % 3
    vectors[index] = tuple(changed)
    if np.count_nonzero(changed) == w and is_admissible(members(vectors)):
        assert verified_size(vectors, N, w) == len(members(vectors))
    else:
        with pytest.raises(InvalidSolution):
            verified_size(vectors, N, w)


def test_rotated_vectors_stand_for_the_same_set() -> None:
    vectors = [(*vector[1:3], vector[0], vector[5], *vector[3:5]) for vector in solve()]
    assert verified_size(vectors, N, W) == verified_size(solve(), N, W) == 20


@pytest.mark.parametrize("vector", [(0, 1, 1, 0, 0, 1), (1, 1, 2, 0, 0, 0), (0, 0, 1, 2, 0, 2)])
def test_vector_that_clashes_with_its_rotations_is_rejected(vector: Vector) -> None:
    assert not is_admissible(members([vector]))
    with pytest.raises(InvalidSolution, match="its own rotations"):
        verified_size([vector], N, W)


@given(st.integers(0, 7), st.integers(0, N - 1), st.sampled_from([3, -1, 1.0, True, None, "1", float("nan"), 2**70]))
@settings(deadline=None)
def test_wrong_entry_is_rejected_at_any_position(index: int, position: int, entry: Any) -> None:
    vectors: list[Any] = [list(vector) for vector in solve()]
    vectors[index % len(vectors)][position] = entry
    with pytest.raises(InvalidSolution, match="entries other than 0, 1, 2"):
        verified_size(vectors, N, W)


@given(st.integers(0, 7), st.integers(0, 7))
@settings(deadline=None)
def test_repeated_vector_is_rejected(index: int, place: int) -> None:
    vectors = solve()
    vectors.insert(place, vectors[index % len(vectors)])
    with pytest.raises(InvalidSolution, match="in the same places"):
        verified_size(vectors, N, W)


def test_vector_of_another_weight_is_rejected() -> None:
    with pytest.raises(InvalidSolution, match="2 nonzero entries instead of 3"):
        verified_size([(0, 0, 1, 0, 0, 1)], N, W)


@pytest.mark.parametrize("vector", [(0,) * (N - 1), (1,) * (N + 1), (), None, 7, "000111", {0: 1}, np.zeros(N, int)])
def test_malformed_vector_is_rejected(vector: Any) -> None:
    with pytest.raises(InvalidSolution, match="not a vector of length 6"):
        verified_size([*solve(), vector], N, W)


@pytest.mark.parametrize("answer", [None, 20, 20.0, "set", {}, ((0, 0, 0, 1, 1, 1),), np.zeros((2, N), int)])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        verified_size(answer, N, W)


def test_more_vectors_than_possible_are_rejected_without_being_read() -> None:
    with pytest.raises(InvalidSolution, match=f"21 vectors; at most {math.comb(N, W)}"):
        verified_size([None] * 21, N, W)


def test_small_sets_are_accepted() -> None:
    assert verified_size([], N, W) == 0
    assert verified_size([[0, 0, 0, 2, 2, 2]], N, W) == 1
    assert verified_size([(0, 1, 2, 2, 0, 0)], N, W) == 9


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("12", "is not a pair"),
        ("(12, 7, 1)", "is not a pair"),
        ("(12, 7.0)", "is not a pair"),
        ("(12, True)", "is not a pair"),
        ("'12'", "is not a pair"),
        ("(13, 7)", "not a valid dimension: give a multiple of 3 up to 21"),
        ("(0, 0)", "not a valid dimension"),
        ("(24, 17)", "not a valid dimension"),
        ("(12, 0)", "not a valid weight: give an integer from 1 to 12"),
        ("(12, 13)", "not a valid weight"),
    ],
)
def test_invalid_dimension_or_weight_is_rejected(value: str, fault: str) -> None:
    with pytest.raises(ProblemError, match=rf"--input a=.*{fault}"):
        load_problem("admissible_set", inputs=[f"a={value}"])


def test_prompt_shows_the_function_and_what_the_set_is() -> None:
    prompt = best_shot_prompt(PROBLEM.specification, [PROBLEM.specification.first])
    assert prompt.startswith('"""Finds large admissible sets')
    assert "def solve" not in prompt
    assert "TRIPLES" not in prompt
    assert len(prompt) < 1200
