"""Permutation flow shops: published figures are reproduced, and only an order of all jobs gets a score."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.flow_shop import (
    FlowShop,
    lower_bound,
    makespan,
    read_instance,
    schedule,
    taillard_like,
    verified_order,
)
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

PROBLEM = load_problem("flow_shop")
TAILLARD_20X5 = {
    "ta001": (873654221, 1232, 1278, 1286),
    "ta002": (379008056, 1290, 1359, 1365),
    "ta003": (1866992158, 1073, 1081, 1159),
    "ta004": (216771124, 1268, 1293, 1325),
    "ta005": (495070989, 1198, 1235, 1305),
}
"""Taillard's seeds, his lower bounds, the optimal makespans, and those of NEH."""
SMALL = np.array([[5, 1, 4], [2, 6, 3], [7, 2, 2], [3, 3, 8]])
JOBS = len(SMALL)


def outcome(function: Function, inputs: dict[str, Any] | None = None, sandbox: Sandbox | None = None) -> Outcome:
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=inputs or PROBLEM.inputs).score(function)


def baseline(name: str) -> Function:
    return read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])


def solve(source: str, times: np.ndarray) -> list[int]:
    """Returns the order that the skeleton finds with a function body."""
    process = InProcessSandbox().start(PROBLEM.specification.program(Function(source)), FlowShop.limits)
    order: list[int] = process.call("solve", [times])
    return order


def taillard(seed: int, jobs: int, machines: int) -> np.ndarray:
    """Returns the published instance of a seed: machine by machine, from Taillard's own generator."""
    times = np.zeros((jobs, machines), dtype=int)
    for machine in range(machines):
        for job in range(jobs):
            seed = 16807 * seed % (2**31 - 1)
            times[job, machine] = 1 + int(99 * seed / (2**31 - 1))
    return times


def longest_path(order: list[int], times: np.ndarray) -> int:
    """Returns the makespan computed in another way: the longest monotone path through jobs and machines."""
    ends: dict[tuple[int, int], int] = {}
    for place, job in enumerate(order):
        for machine in range(times.shape[1]):
            before = max(ends.get((place - 1, machine), 0), ends.get((place, machine - 1), 0))
            ends[place, machine] = before + int(times[job, machine])
    return max(ends.values())


@pytest.mark.parametrize("name", TAILLARD_20X5)
def test_published_bounds_and_neh_makespans_are_reproduced(name: str) -> None:
    seed, bound, optimum, neh = TAILLARD_20X5[name]
    times = taillard(seed, 20, 5)
    assert lower_bound(times) == bound
    order = solve("    return float(times[job].sum())\n", times)
    assert makespan(verified_order(order, 20), times) == neh >= optimum


def test_first_program_is_neh_and_gives_the_stated_scores(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, sandbox=sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    assert first.scores == pytest.approx({"20x5": -2.24, "20x10": -11.20}, abs=0.01)
    assert first.score == pytest.approx(np.mean(list(first.scores.values())))
    assert first.scores == outcome(baseline("NEH")).scores


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("mean and deviation", (-2.13, -11.14)),
        ("Kalczynski and Kamburowski", (-1.86, -11.51)),
        ("as they come", (-3.63, -11.40)),
        ("shortest total first", (-4.60, -14.89)),
    ],
)
def test_baselines_give_the_stated_scores(name: str, scores: tuple[float, float]) -> None:
    assert tuple(outcome(baseline(name)).scores.values()) == pytest.approx(scores, abs=0.01)


def test_baselines_keep_their_order_on_the_heldout_inputs() -> None:
    names = ("NEH", "as they come", "shortest total first")
    scores = [outcome(baseline(name), PROBLEM.heldout).scores for name in names]
    for held in PROBLEM.heldout:
        values = [score[held] for score in scores]
        assert values == sorted(values, reverse=True), held


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_no_order_beats_the_bound_and_both_computations_agree(seed: int, jobs: int, machines: int) -> None:
    times = taillard_like(1, jobs, machines, seed)[0]
    for order in permutations(range(jobs)):
        end = makespan(list(order), times)
        assert end == longest_path(list(order), times)
        assert end == makespan(list(order)[::-1], times[:, ::-1])  # a shop run backwards takes as long
        ends, work = schedule(list(order), times), times[list(order)]
        assert ends[-1, -1] == end
        assert (np.diff(ends, axis=0) >= work[1:]).all()  # no machine does two jobs at once
        assert (np.diff(ends, axis=1) >= work[:, 1:]).all()  # and no job is on two machines
        assert end >= lower_bound(times)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_any_priority_gives_an_order(seed: int, jobs: int, machines: int) -> None:
    times = taillard_like(1, jobs, machines, seed)[0]
    order = solve(f"    return float(np.random.default_rng([{seed}, job]).normal())\n", times)
    assert verified_order(order, jobs) == order


def test_makespan_of_two_machines_is_least_in_johnsons_order() -> None:
    times = np.array([[3, 6], [7, 2], [4, 7], [5, 3], [7, 4]])
    assert makespan([0, 2, 4, 3, 1], times) == 28
    assert min(makespan(list(order), times) for order in permutations(range(5))) == lower_bound(times) == 28


def test_a_single_machine_is_always_busy() -> None:
    times = np.array([[4], [9], [1]])
    assert makespan([1, 2, 0], times) == lower_bound(times) == 14


def test_score_is_minus_the_mean_excess() -> None:
    class Fixed:
        def solve(self, times: np.ndarray) -> list[int]:
            return list(range(len(times)))

    ends = [(makespan([0, 1, 2, 3], SMALL), lower_bound(SMALL)), (7, 7)]
    score = FlowShop().evaluate(Fixed(), [SMALL, np.array([[3, 4]])])  # type: ignore[arg-type]
    assert score == pytest.approx(-100 * np.mean([end / bound - 1 for end, bound in ends]))
    assert score < 0


@given(st.permutations(range(JOBS)), st.integers(0, JOBS - 1), st.integers(0, JOBS - 1))
@settings(deadline=None)
def test_swapped_jobs_are_scored_and_repeated_jobs_rejected(order: list[int], a: int, b: int) -> None:
    swapped = order.copy()
    swapped[a], swapped[b] = order[b], order[a]
    assert makespan(verified_order(swapped, JOBS), SMALL) == longest_path(swapped, SMALL)
    repeated = order.copy()
    repeated[a] = order[b]
    if a == b:
        assert verified_order(repeated, JOBS) == order
    else:
        with pytest.raises(InvalidSolution, match="a job occurs twice"):
            verified_order(repeated, JOBS)


@given(
    st.permutations(range(JOBS)),
    st.integers(0, JOBS - 1),
    st.sampled_from([JOBS, -1, 1.0, True, None, "1", float("nan"), 2**70, [1], 1 + 0j]),
)
@settings(deadline=None)
def test_wrong_job_is_rejected_at_any_position(order: list[Any], place: int, job: Any) -> None:
    order[place] = job
    with pytest.raises(InvalidSolution, match="not a job from 0 to 3"):
        verified_order(order, JOBS)


@given(st.permutations(range(JOBS)), st.integers(0, JOBS - 1))
@settings(deadline=None)
def test_order_of_another_length_is_rejected(order: list[int], place: int) -> None:
    for wrong in (order[:place] + order[place + 1 :], [*order, place], []):
        with pytest.raises(InvalidSolution, match=rf"{len(wrong)} jobs in the order instead of 4"):
            verified_order(wrong, JOBS)


@pytest.mark.parametrize("answer", [None, 4, "0123", b"0123", {0: 1}, (0, 1, 2, 3), np.arange(4)])
def test_anything_but_a_list_is_rejected(answer: Any) -> None:
    with pytest.raises(InvalidSolution, match="expected a list"):
        verified_order(answer, JOBS)


def test_priorities_that_are_nan_or_infinite_still_make_an_order() -> None:
    for value in ("nan", "inf", "-inf"):
        assert sorted(solve(f"    return float('{value}')\n", SMALL)) == [0, 1, 2, 3]


def test_recipe_is_seeded_and_within_its_range() -> None:
    times = np.array(taillard_like(3, 500, 5, seed=7))
    assert (times == np.array(taillard_like(3, 500, 5, seed=7))).all()
    assert (times != np.array(taillard_like(3, 500, 5, seed=8))).any()
    assert (times.min(), times.max(), times.shape) == (1, 99, (3, 500, 5))


def test_search_validation_and_heldout_inputs_share_no_instance() -> None:
    sets = [
        {instance.tobytes() for value in inputs.values() for instance in value}
        for inputs in (PROBLEM.inputs, PROBLEM.evaluator.selection, PROBLEM.heldout)
    ]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 20 + 40 + 45


@pytest.mark.parametrize(
    ("given", "count"), [([[1, 2], [3, 4]], 1), ([[[1, 2], [3, 4]]] * 2, 2), (((1, 2), (3, 4)), 1)]
)
def test_literals_and_json_are_read(given: Any, count: int, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps(given))
    problem = load_problem("flow_shop", inputs=[f"literal={given!r}", f"file=@{file}"])
    for value in problem.inputs.values():
        assert [instance.tolist() for instance in value] == [[[1, 2], [3, 4]]] * count


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("5", "an instance is a list of jobs"),
        ("[]", "an instance is a list of jobs"),
        ("'ab'", "an instance is a list of jobs"),
        ("[1, 2]", "an instance is a list of jobs"),
        ("[[[1]], 5]", "an instance is a list of jobs.*, not 5"),
        ("[[[1]], []]", r"an instance is a list of jobs.*, not \[\]"),
        ("[[]]", "1 jobs on 0 machines"),
        ("[[1, 2], [3]]", "different numbers of machines"),
        ("[[1]] * 201", "not a Python literal"),
        ("[[1, 0]]", "the time 0 is not an integer"),
        ("[[1, -5]]", "the time -5 is not an integer"),
        ("[[1, 2.0]]", "the time 2.0 is not an integer"),
        ("[[True]]", "the time True is not an integer"),
        ("[[1000001]]", "the time 1000001 is not an integer"),
        ("[['3']]", "the time '3' is not an integer"),
    ],
)
def test_invalid_input_is_rejected_with_the_reason(value: str, message: str) -> None:
    with pytest.raises(ProblemError, match=f"--input n=.*{message}"):
        load_problem("flow_shop", inputs=[f"n={value}"])


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers(-3, 9), lambda x: st.lists(x, max_size=3)))
@settings(deadline=None)
def test_reading_an_instance_succeeds_or_raises_value_error(value: Any) -> None:
    try:
        times = read_instance(value)
    except ValueError:
        return
    assert times.ndim == 2
    assert times.min() >= 1


def test_instance_that_is_too_large_is_rejected() -> None:
    with pytest.raises(ValueError, match="201 jobs on 1 machines: give at most 200 on 1 to 20"):
        read_instance([[1]] * 201)
    assert read_instance([[1] * 20] * 200).shape == (200, 20)


def test_prompt_is_short_and_shows_the_function_only() -> None:
    prompt = best_shot_prompt(PROBLEM.specification, [PROBLEM.specification.first])
    assert "def priority_v1(job: int, times: np.ndarray) -> float:" in prompt
    assert "solve" not in prompt
    assert len(prompt) < 700
