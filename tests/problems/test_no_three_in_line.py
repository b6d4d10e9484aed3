"""No three in line: known sizes are reproduced, and sets with three points in line get no score."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.no_three_in_line import NoThreeInLine, verified_size
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.code.reading import read_file
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import Sandbox
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("no_three_in_line")
N = 7
Point = tuple[int, int]


def from_rows(*rows: str) -> list[Point]:
    """Returns the points given by rows of digits: row i has its points at these columns."""
    return [(x, int(y, 16)) for x, row in enumerate(rows) for y in row]


LARGEST_FOR_7 = from_rows("24", "12", "56", "46", "01", "35", "03")
LARGEST_FOR_11 = from_rows("46", "15", "29", "48", "1a", "0a", "79", "35", "02", "78", "36")
"""Found by backtracking, with two points in each row."""


def solve(source: str, n: int) -> list[Point]:
    """Returns what the skeleton builds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), NoThreeInLine.limits)
    points: list[Point] = process.call("solve", [n])
    return points


def outcome(function: Function, sandbox: Sandbox | None = None) -> Outcome:
    everything = {**PROBLEM.inputs, **PROBLEM.heldout}
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=everything).score(function)


def in_line(a: Point, b: Point, c: Point) -> bool:
    """Returns whether the triangle of three points has no area, by the shoelace formula."""
    return a[0] * (b[1] - c[1]) + b[0] * (c[1] - a[1]) + c[0] * (a[1] - b[1]) == 0


def test_first_program_gives_the_stated_sizes(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    assert first.scores == {"n11": 13, "n13": 16, "n17": 22}


@pytest.mark.parametrize(("name", "sizes"), [("row by row", (13, 17, 23)), ("Erdős", (17, 21, 28))])
def test_baselines_give_the_stated_sizes(name: str, sizes: tuple[int, int, int]) -> None:
    scores = outcome(read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])).scores
    assert tuple(scores.values()) == sizes


@pytest.mark.parametrize(("points", "n"), [(LARGEST_FOR_7, 7), (LARGEST_FOR_11, 11)])
def test_best_known_sets_are_accepted_and_reachable_by_priorities(points: list[Point], n: int) -> None:
    assert verified_size(points, n) == 2 * n
    assert solve(f"    return float((x, y) in {points})\n", n) == points


@pytest.mark.parametrize("p", [2, 3, 5, 7, 11, 13, 17, 19])
def test_parabola_modulo_a_prime_has_no_three_in_line(p: int) -> None:
    assert verified_size([(x, x * x % p) for x in range(p)], p) == p


def test_equal_priorities_are_taken_row_by_row() -> None:
    points = solve("    return 0.0\n", N)
    assert points == sorted(points)
    assert points[:2] == [(0, 0), (0, 1)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_any_priority_builds_a_maximal_set(seed: int, n: int) -> None:
    points = solve(f"    return float(np.random.default_rng([{seed}, x, y]).normal())\n", n)
    assert verified_size(points, n) == len(points)
    for point in product(range(n), repeat=2):
        if point not in points:
            with pytest.raises(InvalidSolution, match="three"):
                verified_size([*points, point], n)


@given(st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), unique=True, max_size=8))
@settings(deadline=None)
def test_three_points_in_line_are_always_found(points: list[Point]) -> None:
    if any(in_line(*three) for three in combinations(points, 3)):
        with pytest.raises(InvalidSolution, match="three points in line"):
            verified_size(points, N)
    else:
        assert verified_size(points, N) == len(points)


@given(st.integers(0, 21), st.tuples(st.integers(0, 10), st.integers(0, 10)), st.randoms())
@settings(deadline=None)
def test_full_set_with_one_point_moved_is_scored_correctly(index: int, point: Point, random: Any) -> None:
    others = LARGEST_FOR_11[:index] + LARGEST_FOR_11[index + 1 :]
    moved = [*others, point]
    random.shuffle(moved)
    if point in others or any(in_line(point, *two) for two in combinations(others, 2)):
        with pytest.raises(InvalidSolution, match=r"twice|in line"):
            verified_size(moved, 11)
    else:
        assert verified_size(moved, 11) == 22
    assert verified_size(others, 11) == 21


@pytest.mark.parametrize("line", [[(0, 0), (1, 2), (3, 6)], [(6, 0), (3, 4), (0, 8)], [(99, 0), (0, 99), (50, 49)]])
def test_line_of_any_slope_is_named(line: list[Point]) -> None:
    with pytest.raises(InvalidSolution, match=r"three points in line: \(.*\), \(.*\), \(.*\)"):
        verified_size(line, 100)


def test_near_misses_are_not_lines() -> None:
    assert verified_size([(0, 0), (49, 50), (98, 99)], 100) == 3
    assert verified_size([(0, 0), (49, 50)], 100) == 2


@given(
    st.integers(0, 13), st.integers(0, 1), st.sampled_from([N, -1, 1.0, True, None, "1", float("nan"), 2**70, 1 + 0j])
)
@settings(deadline=None)
def test_wrong_coordinate_is_rejected_at_any_position(index: int, place: int, entry: Any) -> None:
    points: list[Any] = [list(point) for point in LARGEST_FOR_7]
    points[index][place] = entry
    with pytest.raises(InvalidSolution, match="coordinates that are not integers from 0 to 6"):
        verified_size(points, N)


@given(st.integers(0, 13), st.integers(0, 13), st.booleans())
@settings(deadline=None)
def test_repeated_point_is_rejected(index: int, other: int, as_list: bool) -> None:
    points: list[Any] = list(LARGEST_FOR_7)
    if index == other:
        assert verified_size(points, N) == 14
        return
    points[index] = list(points[other]) if as_list else points[other]
    with pytest.raises(InvalidSolution, match="twice"):
        verified_size(points, N)


@pytest.mark.parametrize("point", [(), (1,), (1, 2, 3), None, 7, "01", b"01", {0: 1, 1: 2}, np.zeros(2, int)])
def test_malformed_point_is_rejected(point: Any) -> None:
    with pytest.raises(InvalidSolution, match="not a pair of coordinates"):
        verified_size([point, *LARGEST_FOR_7[1:]], N)


@pytest.mark.parametrize("answer", [None, 14, 14.0, "set", {}, tuple(LARGEST_FOR_7), np.array(LARGEST_FOR_7)])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        verified_size(answer, N)


def test_more_points_than_possible_are_rejected_without_being_read() -> None:
    with pytest.raises(InvalidSolution, match="15 points; with more than 14, a row has three"):
        verified_size([None] * 15, N)


def test_small_sets_are_accepted() -> None:
    assert verified_size([], 1) == 0
    assert verified_size([[0, 0]], 1) == 1
    assert verified_size([(0, 0), (0, 1), (1, 0), (1, 1)], 2) == 4


@pytest.mark.parametrize("value", ["0", "101", "-1", "2.0", "True", "'8'", "[8]", "None"])
def test_invalid_side_is_rejected(value: str) -> None:
    with pytest.raises(ProblemError, match=r"--input n=.* is not a valid grid size: give an integer from 1 to 100"):
        load_problem("no_three_in_line", inputs=[f"n={value}"])


def test_prompt_is_short_and_shows_the_function_only() -> None:
    prompt = best_shot_prompt(PROBLEM.specification, [PROBLEM.specification.first])
    assert "def priority_v1(x: int, y: int, n: int) -> float:" in prompt
    assert "solve" not in prompt
    assert len(prompt) < 700
