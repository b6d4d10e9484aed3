"""Admissible sets without symmetry: the known size is reproduced, and the check agrees with the definition."""

import itertools
from typing import Any

import pytest
from funsearch.evaluators.admissible_set_full import verified_size
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.ports import Sandbox
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("admissible_set_full")
N, W = 5, 3
ALL = [vector for vector in itertools.product(range(3), repeat=N) if N - vector.count(0) == W]

Vector = tuple[int, ...]


def solve(source: str) -> list[Vector]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), PROBLEM.evaluator.limits)
    vectors: list[Vector] = process.call("solve", [N, W])
    return vectors


def is_admissible(vectors: list[Vector]) -> bool:
    """Checks the definition."""
    supports = {tuple(entry != 0 for entry in vector) for vector in vectors}
    return len(supports) == len(vectors) and all(
        any(sorted(column) in ([0, 1, 2], [0, 0, 1], [0, 0, 2]) for column in zip(*three, strict=True))
        for three in itertools.combinations(vectors, 3)
    )


def test_constant_priority_gives_the_published_size(sandbox: Sandbox) -> None:
    evaluator = PROBLEM.scorer(sandbox, inputs={"I9_5": (9, 5), "I12_7": (12, 7)})
    outcome = evaluator.score(Function("    return 0.0\n"))
    assert (outcome.status, outcome.scores) == (Status.OK, {"I9_5": 125, "I12_7": 548})


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_any_priority_builds_a_maximal_admissible_set(seed: int) -> None:
    vectors = solve(f"    return float(np.random.default_rng([{seed}, *el]).normal())\n")
    assert is_admissible(vectors)
    assert verified_size(vectors, N, W) == len(vectors)
    for vector in ALL:
        if vector not in vectors:
            with pytest.raises(InvalidSolution):
                verified_size([*vectors, vector], N, W)


@given(st.lists(st.sampled_from(ALL), max_size=7, unique=True))
@settings(deadline=None)
def test_sets_are_accepted_if_and_only_if_the_definition_holds(vectors: list[Vector]) -> None:
    try:
        accepted = verified_size(vectors, N, W) == len(vectors)
    except InvalidSolution:
        accepted = False
    assert accepted == is_admissible(vectors)


GOOD = solve("    return 0.0\n")


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (None, "expected a list"),
        (tuple(GOOD), "expected a list"),
        ([*GOOD, GOOD[0]], "two vectors are nonzero in the same places|are possible"),
        ([GOOD[0], GOOD[0]], "same places"),
        ([*GOOD[1:], (1, 1, 1)], "length 5"),
        ([*GOOD[1:], 3], "length 5"),
        ([*GOOD[1:], (1, 1, 3, 0, 0)], "other than"),
        ([*GOOD[1:], (1, 1, True, 0, 0)], "other than"),
        ([*GOOD[1:], (1, 1, 1.0, 0, 0)], "other than"),
        ([*GOOD[1:], (1, 1, -1, 0, 0)], "other than"),
        ([*GOOD[1:], (1, 1, 1, 1, 0)], "4 nonzero entries instead of 3"),
        (ALL, "at most 10 are possible"),
    ],
)
def test_invalid_set_is_rejected(vectors: Any, message: str) -> None:
    with pytest.raises(InvalidSolution, match=message):
        verified_size(vectors, N, W)


@pytest.mark.parametrize("value", ["12", "(12,)", "(12, 0)", "(3, 4)", "(16, 12)", "(12.0, 7)", "(True, 1)"])
def test_invalid_dimension_or_weight_is_rejected(value: str) -> None:
    with pytest.raises(ProblemError, match="--input x="):
        load_problem("admissible_set_full", inputs=[f"x={value}"])
