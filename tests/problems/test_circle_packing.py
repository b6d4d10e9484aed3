"""Circle packing: known sums are reproduced, and circles that overlap or leave the square get no score."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.circle_packing import CirclePacking, verified_sum
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from funsearch import InvalidSolution
from funsearch.core.code.reading import read_file
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import Sandbox
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("circle_packing")
QUARTERS = np.array([[0.25, 0.25, 0.25], [0.75, 0.25, 0.25], [0.25, 0.75, 0.25], [0.75, 0.75, 0.25]])
"""Four circles that touch each other and the walls, exactly."""
UNIT = st.floats(0.001, 0.999)


def call(source: str, function: str, *arguments: Any) -> Any:
    """Calls a function of the skeleton with a body of `place`."""
    program = PROBLEM.specification.program(Function(source))
    return InProcessSandbox().start(program, CirclePacking.limits).call(function, arguments)


def packed(centres: list[tuple[float, float]]) -> Any:
    """Returns the circles that the skeleton puts around centres."""
    return call(f"    return np.array({centres})\n", "solve", len(centres))


def outcome(function: Function, inputs: dict[str, Any], sandbox: Sandbox | None = None) -> Outcome:
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=inputs).score(function)


def test_first_program_gives_the_stated_sums(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, {**PROBLEM.inputs, **PROBLEM.heldout}, sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    assert first.scores == pytest.approx({"n26": 2.232, "n32": 2.604}, abs=0.0005)


@pytest.mark.parametrize(
    ("name", "sums"),
    [
        ("grid", (26 / 12, 32 / 12)),
        ("grid and gaps", (2.5 + (math.sqrt(2) - 1) / 10, 2.5 + 7 * (math.sqrt(2) - 1) / 10)),
    ],
)
def test_baselines_give_the_sums_known_from_geometry(name: str, sums: tuple[float, float]) -> None:
    function = read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])
    scores = outcome(function, {**PROBLEM.inputs, **PROBLEM.heldout}).scores
    assert tuple(scores.values()) == pytest.approx(sums, rel=1e-13)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 15, 25, 41, 100])
def test_first_program_and_baselines_pack_any_number(n: int) -> None:
    sources = PROBLEM.evaluator.baselines.values()
    functions = [PROBLEM.specification.first, *(read_file(PROBLEM.specification, source) for source in sources)]
    for function in functions:
        assert 0 < (outcome(function, {"n": n}).score or 0) <= 0.5 * math.sqrt(n) + 1e-12


def test_known_packings_of_few_circles() -> None:
    assert verified_sum(packed([(0.5, 0.5)]), 1) == pytest.approx(0.5, rel=1e-13)
    diagonal = 1 / (2 + math.sqrt(2))
    assert verified_sum(packed([(diagonal, diagonal), (1 - diagonal, 1 - diagonal)]), 2) == pytest.approx(2 * diagonal)
    assert verified_sum(packed(QUARTERS[:, :2].tolist()), 4) == pytest.approx(1.0, rel=1e-13)


@given(st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=12, unique=True))
@settings(max_examples=60, deadline=None)
def test_circles_around_any_centres_are_verified_and_cannot_grow(centres: list[tuple[float, float]]) -> None:
    circles = packed(centres)
    total = verified_sum(circles, len(centres))
    assert total == math.fsum(circles[:, 2])
    assert (circles[:, :2] == centres).all()
    for index in range(len(centres)):
        larger = circles.copy()
        larger[index, 2] += 1e-9
        with pytest.raises(InvalidSolution, match=r"overlap|leaves"):
            verified_sum(larger, len(centres))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_sum_of_radii_is_the_largest_possible(seed: int) -> None:
    limits = np.random.default_rng(seed).random(6)
    pairs = list(itertools.combinations(range(3), 2))
    rows = np.vstack([np.eye(3), [[float(k in pair) for k in range(3)] for pair in pairs]])
    found = call("    return None\n", "largest_sum", rows, limits)
    assert (found >= 0).all()
    assert (rows @ found <= limits + 1e-12).all()
    every_row, every_limit = np.vstack([rows, -np.eye(3)]), np.append(limits, np.zeros(3))
    best = 0.0  # over all corners, which are where three of the conditions are met with equality
    for chosen in itertools.combinations(range(9), 3):
        corner = every_row[list(chosen)]
        if abs(np.linalg.det(corner)) > 1e-9:
            x = np.linalg.solve(corner, every_limit[list(chosen)])
            if (every_row @ x <= every_limit + 1e-12).all():
                best = max(best, float(x.sum()))
    assert found.sum() == pytest.approx(best)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_order_of_the_centres_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.random((26, 2))
    total = verified_sum(packed(centres.tolist()), 26)
    assert verified_sum(packed(rng.permutation(centres).tolist()), 26) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    "body",
    [
        "    return np.array([[0.5, 0.5], [0.5, 0.5]])\n",
        "    return np.array([[0.5, 0.5], [0.0, 0.5]])\n",
        "    return np.array([[0.5, 0.5], [0.5, 1.5]])\n",
        "    return np.array([[0.5, 0.5], [0.5, np.nan]])\n",
        "    return np.array([[0.5, 0.5]])\n",
        "    return None\n",
    ],
)
def test_centres_without_room_fail_the_program(body: str) -> None:
    assert outcome(Function(body), {"n": 2}).status is Status.RUNTIME_ERROR


def test_touching_circles_are_accepted() -> None:
    assert verified_sum(QUARTERS, 4) == 1.0


@given(st.permutations(range(4)), st.booleans(), st.booleans())
def test_order_and_reflections_do_not_matter(order: list[int], across: bool, swap: bool) -> None:
    circles = QUARTERS[order]
    if across:
        circles[:, 0] = 1 - circles[:, 0]
    if swap:
        circles = circles[:, [1, 0, 2]]
    assert verified_sum(circles, 4) == 1.0


@given(st.integers(0, 3), st.integers(0, 2), st.sampled_from([-np.inf, np.inf]))
def test_one_ulp_too_much_is_rejected_and_one_less_is_accepted(index: int, column: int, direction: float) -> None:
    circles = QUARTERS.copy()
    circles[index, column] = np.nextafter(circles[index, column], direction)
    if column == 2 and direction < 0:
        assert verified_sum(circles, 4) == math.fsum(circles[:, 2])
    else:  # a centre that moves towards a neighbour or a wall, or a radius that grows
        with pytest.raises(InvalidSolution, match=r"overlap|leaves"):
            verified_sum(circles, 4)


def test_overlap_hidden_by_rounding_is_rejected() -> None:
    tiny = 2.0**-60  # 0.25 + 2^-60 is 0.25 in floats, as a number it is not
    beside = np.array([[0.25, 0.5, 0.25], [0.5 + 2.0**-53, 0.5, 2.0**-53]])
    assert verified_sum(beside, 2) > 0.25
    beside[0, 0] = 0.25
    beside[1] = [0.5, 0.5, tiny]
    assert 0.25 + tiny == 0.25
    with pytest.raises(InvalidSolution, match="circles 0 and 1 overlap"):
        verified_sum(beside, 2)
    with pytest.raises(InvalidSolution, match="circle 0 leaves"):
        verified_sum(np.array([[1 - 2.0**-53, 0.5, 2.0**-52]]), 1)


def test_circle_within_another_is_rejected() -> None:
    with pytest.raises(InvalidSolution, match="circles 0 and 1 overlap"):
        verified_sum(np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.1]]), 2)


@given(st.integers(0, 3), st.integers(0, 3))
def test_repeated_circle_is_rejected(index: int, place: int) -> None:
    assume(index != place)
    circles = QUARTERS.copy()
    circles[place] = circles[index]
    with pytest.raises(InvalidSolution, match="overlap"):
        verified_sum(circles, 4)


@given(st.integers(0, 3), st.integers(0, 2), st.sampled_from([math.nan, math.inf, -math.inf, -0.25, 1.25, 1e308, -0.0]))
def test_wrong_entry_is_rejected_at_any_position(index: int, column: int, entry: float) -> None:
    circles = QUARTERS.copy()
    circles[index, column] = entry
    with pytest.raises(InvalidSolution, match=r"NaN or infinite|leaves|a radius that is not positive"):
        verified_sum(circles, 4)


@pytest.mark.parametrize("radius", [0.0, -0.0, -0.1, -5e-324])
def test_radius_that_is_not_positive_is_rejected(radius: float) -> None:
    with pytest.raises(InvalidSolution, match="circle 0 has a radius that is not positive"):
        verified_sum(np.array([[0.5, 0.5, radius]]), 1)
    assert verified_sum(np.array([[0.5, 0.5, 5e-324]]), 1) == 5e-324


@pytest.mark.parametrize(
    "circles",
    [
        QUARTERS[:3],
        np.vstack([QUARTERS, [[0.5, 0.5, 0.01]]]),
        QUARTERS[:, :2],
        QUARTERS.T,
        QUARTERS[None],
        QUARTERS.ravel(),
        np.empty((0, 3)),
        QUARTERS.astype(np.float32),
        QUARTERS.astype(np.longdouble),
        QUARTERS.astype(complex),
        QUARTERS.astype(int),
        QUARTERS.astype(object),
        QUARTERS.astype(str),
    ],
)
def test_malformed_array_is_rejected(circles: Any) -> None:
    with pytest.raises(InvalidSolution, match=r"expected float64 of shape \(4, 3\)"):
        verified_sum(circles, 4)


@pytest.mark.parametrize("answer", [None, 2.635, "circles", {}, QUARTERS.tolist(), tuple(QUARTERS)])
def test_anything_but_an_array_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected an array"):
        verified_sum(answer, 4)


@pytest.mark.parametrize("value", ["0", "101", "-1", "26.0", "True", "'26'", "[26]", "None"])
def test_invalid_input_is_rejected(value: str) -> None:
    with pytest.raises(
        ProblemError, match=r"--input n=.* is not a valid number of circles: give an integer from 1 to 100"
    ):
        load_problem("circle_packing", inputs=[f"n={value}"])
