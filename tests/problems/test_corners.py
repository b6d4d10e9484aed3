"""Sets of labelled points: known sizes are reproduced, and every violation of the inequality is found."""

import itertools
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.corners import Corners, verified_size
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.ports import Sandbox
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("corners")
P, N = 3, 2
CONSTANT = "    return 0, 0, 0.0\n"
FIRST = PROBLEM.specification.first.body
SIZE = 25
"""What the first program finds in Z_3^2."""

Point = tuple[int, ...]
Labelled = tuple[Point, tuple[int, int]]


def solve(source: str = FIRST, p: int = P, n: int = N) -> list[Labelled]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), Corners.limits)
    answer: list[Labelled] = process.call("solve", [p, n])
    return answer


def is_held_apart(answer: list[Labelled], p: int, n: int) -> bool:
    """Returns, by the definition, whether each point occurs once and all corners satisfy the inequality."""
    for (a, (f, _)), (b, (_, g)), (c, up) in itertools.permutations(answer, 3):
        d = [(i - j) % p for i, j in zip(b[:n], a[:n], strict=True)]
        e = [(i - j) % p for i, j in zip(c[n:], a[n:], strict=True)]
        if d == e and b[n:] == a[n:] and c[:n] == a[:n] and f + g <= sum(up):
            return False
    return len({point for point, _ in answer}) == len(answer)


def is_corner_free(answer: list[Labelled], p: int, n: int) -> bool:
    return is_held_apart([(point, (0, 0)) for point, _ in answer], p, n)


def test_constant_labels_give_corner_free_sets_of_the_known_sizes(sandbox: Sandbox) -> None:
    inputs = {**{f"Z2_{n}": (2, n) for n in range(1, 6)}, **{f"Z3_{n}": (3, n) for n in range(1, 4)}}
    evaluator = PROBLEM.scorer(sandbox, inputs=inputs)
    outcome = evaluator.score(Function(CONSTANT))
    assert (outcome.status, outcome.error) == (Status.OK, "")
    assert list(outcome.scores.values()) == [2, 4, 8, 16, 32, 3, 9, 27]
    assert is_corner_free(solve(CONSTANT), P, N)


def test_first_program_gives_more_than_a_corner_free_set(sandbox: Sandbox) -> None:
    inputs = {**{f"Z2_{n}": (2, n) for n in range(1, 6)}, **{f"Z3_{n}": (3, n) for n in range(1, 4)}}
    evaluator = PROBLEM.scorer(sandbox, inputs=inputs)
    outcome = evaluator.score(PROBLEM.specification.first)
    assert list(outcome.scores.values()) == [3, 9, 27, 81, 243, 5, 25, 128]
    assert not is_corner_free(solve(), P, N)


def test_best_known_size_in_the_smallest_grid_needs_the_labels() -> None:
    assert verified_size([((0, 0), (1, 0)), ((0, 1), (0, 0)), ((1, 0), (0, 0))], 2, 1) == 3
    for points in itertools.combinations(itertools.product(range(2), repeat=2), 3):
        with pytest.raises(InvalidSolution, match="violates the inequality"):
            verified_size([(point, (0, 0)) for point in points], 2, 1)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(2, 1), (2, 2), (3, 1), (4, 1), (5, 1)]))
@settings(max_examples=30, deadline=None)
def test_any_labels_build_a_maximal_set(seed: int, value: tuple[int, int]) -> None:
    p, n = value
    body = (
        f"    rng = np.random.default_rng([{seed}, *x, *y])\n"
        "    return int(rng.integers(-3, 4)), int(rng.integers(-3, 4)), rng.normal()\n"
    )
    answer = solve(body, p, n)
    assert verified_size(answer, p, n) == len(answer)
    assert is_held_apart(answer, p, n)
    program: dict[str, Any] = {"np": np}
    exec("def label(x, y, p, n):\n" + body, program)
    members = {point for point, _ in answer}
    for point in itertools.product(range(p), repeat=2 * n):
        if point not in members:
            with pytest.raises(InvalidSolution, match="violates the inequality"):
                verified_size([*answer, (point, program["label"](point[:n], point[n:], p, n)[:2])], p, n)


@given(st.data(), st.sampled_from([(2, 1), (2, 2), (3, 1), (4, 1)]))
@settings(max_examples=150, deadline=None)
def test_answers_are_accepted_if_and_only_if_all_corners_satisfy_the_inequality(
    data: st.DataObject, value: tuple[int, int]
) -> None:
    p, n = value
    labels = st.tuples(st.integers(-2, 2), st.integers(-2, 2))
    points = st.tuples(*[st.integers(0, p - 1)] * (2 * n))
    answer = data.draw(st.lists(st.tuples(points, labels), max_size=8))
    if len(answer) <= p ** (2 * n) and is_held_apart(answer, p, n):
        assert verified_size(answer, p, n) == len(answer)
    else:
        with pytest.raises(InvalidSolution):
            verified_size(answer, p, n)


@given(st.integers(0, SIZE - 1), st.integers(0, 2 * N + 1), st.sampled_from([-2, -1, 1, 2]))
@settings(max_examples=30, deadline=None)
def test_near_miss_is_rejected_or_scored_correctly(index: int, position: int, step: int) -> None:
    answer = solve()
    point, labels = (list(part) for part in answer[index])
    if position < 2 * N:
        point[position] = (point[position] + step) % P
    else:
        labels[position - 2 * N] += step
    answer[index] = (tuple(point), (labels[0], labels[1]))
    if is_held_apart(answer, P, N):
        assert verified_size(answer, P, N) == SIZE
    else:
        with pytest.raises(InvalidSolution, match=r"twice|violates the inequality"):
            verified_size(answer, P, N)


WRONG = [-1, 1.0, True, None, "1", float("nan"), 2**70]


@given(st.integers(0, SIZE - 1), st.integers(0, 2 * N - 1), st.sampled_from([P, *WRONG]))
@settings(deadline=None)
def test_wrong_entry_is_rejected_at_any_position(index: int, position: int, entry: Any) -> None:
    answer: list[Any] = [[list(point), labels] for point, labels in solve()]
    answer[index][0][position] = entry
    with pytest.raises(InvalidSolution, match=r"entries other than 0 \.\.\. 2"):
        verified_size(answer, P, N)


@given(st.integers(0, SIZE - 1), st.integers(0, 1), st.sampled_from([*WRONG[1:], 2**40 + 1, -(2**63)]))
@settings(deadline=None)
def test_wrong_label_is_rejected_at_any_position(index: int, position: int, label: Any) -> None:
    answer: list[Any] = [[point, list(labels)] for point, labels in solve()]
    answer[index][1][position] = label
    with pytest.raises(InvalidSolution, match=r"labels that are not integers of at most 2\^40"):
        verified_size(answer, P, N)


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE), st.integers(0, 2))
@settings(deadline=None)
def test_repeated_point_is_rejected_for_any_labels(index: int, place: int, more: int) -> None:
    answer = solve()
    point, (f, g) = answer[index]
    answer.insert(place, (point, (f + more, g - more)))
    with pytest.raises(InvalidSolution, match="twice"):
        verified_size(answer, P, N)


@pytest.mark.parametrize("point", [(0,) * 3, (0,) * 5, (), None, 7, "0000", {0: 1}, np.zeros(4, int)])
def test_malformed_point_is_rejected(point: Any) -> None:
    with pytest.raises(InvalidSolution, match="not a point of length 4"):
        verified_size([*solve(), (point, (0, 0))], P, N)


@pytest.mark.parametrize("labels", [(0,), (0, 0, 0), None, 7, "00", {0: 1, 1: 1}, np.zeros(2, int)])
def test_malformed_labels_are_rejected(labels: Any) -> None:
    with pytest.raises(InvalidSolution, match="not two labels"):
        verified_size([((0,) * 4, labels)], P, N)


@pytest.mark.parametrize("pair", [(), ((0,) * 4,), (0, 0, 0, 0), None, 7, "ab", np.zeros(2, int)])
def test_anything_but_pairs_is_rejected(pair: Any) -> None:
    with pytest.raises(InvalidSolution, match="not a point"):
        verified_size([pair], P, N)


@pytest.mark.parametrize("answer", [None, 25, 25.0, "set", {}, (((0,) * 4, (0, 0)),), np.zeros((2, 4), int)])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        verified_size(answer, P, N)


def test_more_points_than_possible_are_rejected_without_being_read() -> None:
    with pytest.raises(InvalidSolution, match="82 points; at most 81 are possible"):
        verified_size([None] * 82, P, N)


def test_small_sets_are_accepted() -> None:
    assert verified_size([], P, N) == 0
    assert verified_size([[[0, 1, 2, 0], [5, -(2**40)]]], P, N) == 1


def test_labels_that_are_not_numbers_get_no_score(sandbox: Sandbox) -> None:
    evaluator = PROBLEM.scorer(sandbox, inputs={"Z2_2": (2, 2)})
    outcome = evaluator.score(Function("    return float('nan'), 0, 0.0\n"))
    assert outcome.status is not Status.OK


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("2", "is not a pair"),
        ("(2, 4, 1)", "is not a pair"),
        ("(2, 4.0)", "is not a pair"),
        ("(2, True)", "is not a pair"),
        ("'24'", "is not a pair"),
        ("(1, 4)", "not a valid modulus: give an integer of at least 2"),
        ("(-2, 4)", "not a valid modulus"),
        ("(2, 0)", r"not a valid dimension: give a positive integer with 2\^2n of at most 10000"),
        ("(2, 7)", "not a valid dimension"),
        ("(2, 1000000000)", "not a valid dimension"),
    ],
)
def test_invalid_modulus_or_dimension_is_rejected(value: str, fault: str) -> None:
    with pytest.raises(ProblemError, match=rf"--input a=.*{fault}"):
        load_problem("corners", inputs=[f"a={value}"])


def test_prompt_is_short_and_shows_the_function_only() -> None:
    prompt = best_shot_prompt(PROBLEM.specification, [PROBLEM.specification.first])
    assert prompt.startswith('"""Finds large sets of points (x, y) of Z_p^n x Z_p^n')
    assert "def solve" not in prompt
    assert len(prompt) < 1100
