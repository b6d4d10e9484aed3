"""Online bin packing: published figures are reproduced, and a candidate sees and returns only what it should."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.bin_packing import (
    BinPacking,
    Instance,
    bins_needed,
    or_like,
    packed,
    preferred,
    read_instance,
    weibull_like,
)
from hypothesis import given
from hypothesis import strategies as st

import funsearch
from funsearch.core.code.reading import read_file
from funsearch.core.evaluator import Outcome
from funsearch.core.ports import Sandbox
from funsearch.core.problem import Candidate
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import load_problem
from funsearch.testing import InProcessSandbox

PROBLEM = load_problem("bin_packing")
MEAN_BINS = {
    "or_library/binpack1.txt": (52.2, 51.9, 49.05),
    "or_library/binpack2.txt": (108.1, 107.7, 101.55),
    "or_library/binpack3.txt": (212.75, 212.0, 201.2),
    "or_library/binpack4.txt": (421.5, 420.35, 400.55),
    "weibull/weibull5k.txt": (2071.8, 2067.0, 1987.8),
}
"""Published means over the instances of a file: first fit, best fit, L1 bound."""


class Recorded:
    """A candidate that records its calls and answers with a trusted function."""

    def __init__(self, answer: Any) -> None:
        self.calls: list[tuple[float, list[float]]] = []
        self._answer = answer

    def call_many(self, function: str, columns: Sequence[Sequence[Any]]) -> list[Any]:
        assert function == "priority"
        return [self._priority(item, bins) for item, bins in zip(*columns, strict=True)]

    def _priority(self, item: float, bins: np.ndarray[Any, Any]) -> Any:
        self.calls.append((item, bins.tolist()))
        return self._answer(item, bins)


def needed(process: Recorded, *instances: Instance) -> int:
    return bins_needed(Candidate(process), instances)  # type: ignore[arg-type]


def needed_one_by_one(priority: Any, instance: Instance) -> int:
    """Returns the result of a plain simulation of one instance."""
    room = np.full(len(instance.items) + 1, instance.capacity)
    opened = 0
    for item in instance.items:
        fitting = np.flatnonzero(room[: opened + 1] >= item)
        chosen = fitting[int(np.argmax(priority(item, room[fitting])))]
        room[chosen] -= item
        opened += int(chosen == opened)
    return opened


def outcome(function: Function, inputs: dict[str, Any], sandbox: Sandbox | None = None) -> Outcome:
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=inputs).score(function)


def plain(instances: list[Instance]) -> list[tuple[float, tuple[float, ...]]]:
    """Returns the contents of instances; each loaded problem is a separate module with its own class `Instance`."""
    return [(instance.capacity, instance.items) for instance in instances]


def baseline(name: str) -> Function:
    return read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])


@pytest.mark.parametrize("file", MEAN_BINS)
def test_published_figures_are_reproduced(data: Path, file: str) -> None:
    inputs = load_problem("bin_packing", inputs=[f"published=@{data / file}"]).inputs
    bounds = [instance.bound for instance in inputs["published"]]
    first_fit, best_fit, bound = MEAN_BINS[file]
    assert np.mean(bounds) == pytest.approx(bound)
    for name, bins in (("first fit", first_fit), ("best fit", best_fit)):
        excess = outcome(baseline(name), inputs).scores["published"]
        assert bound * (1 - excess / 100) == pytest.approx(bins), name


def test_first_program_is_best_fit_and_runs_in_the_sandbox(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, PROBLEM.inputs, sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    assert list(first.scores) == list(PROBLEM.inputs)
    assert first.score == pytest.approx(np.mean(list(first.scores.values())))
    assert first.scores == outcome(baseline("best fit"), PROBLEM.inputs).scores


@pytest.mark.parametrize("name", ["first fit", "best fit"])
def test_picture_shows_the_packing_that_is_scored(name: str) -> None:
    instance = or_like(1, 120, seed=3)[0]
    source = PROBLEM.specification.program(baseline(name))
    candidate = funsearch.Candidate(InProcessSandbox().start(source, BinPacking.limits))
    bins = packed(candidate, instance)
    assert sorted(item for items in bins for item in items) == sorted(instance.items)
    assert all(items and sum(items) <= instance.capacity for items in bins)
    score = BinPacking().evaluate(candidate, [instance])
    assert score == pytest.approx(-100 * (len(bins) - instance.bound) / instance.bound)


def test_candidate_is_shown_open_bins_that_fit_and_an_unopened_one_last() -> None:
    candidate = Recorded(lambda item, bins: item - bins)
    assert needed(candidate, Instance(10.0, (6.0, 7.0, 3.0, 4.0, 5.0))) == 3
    assert candidate.calls == [
        (6.0, [10.0]),
        (7.0, [10.0]),
        (3.0, [4.0, 3.0, 10.0]),
        (4.0, [4.0, 10.0]),
        (5.0, [10.0]),
    ]


def test_first_bin_wins_among_equal_priorities() -> None:
    candidate = Recorded(lambda item, bins: np.zeros(len(bins)))
    assert needed(candidate, Instance(10.0, (3.0, 3.0, 3.0))) == 1
    assert [bins for _, bins in candidate.calls] == [[10.0], [7.0, 10.0], [4.0, 10.0]]


def test_instances_are_simulated_side_by_side_one_item_of_each_at_a_time() -> None:
    candidate = Recorded(lambda item, bins: item - bins)
    assert needed(candidate, Instance(10.0, (6.0, 5.0, 4.0)), Instance(8.0, (3.0,))) == 3
    assert candidate.calls == [(6.0, [10.0]), (3.0, [8.0]), (5.0, [10.0]), (4.0, [4.0, 5.0, 10.0])]


SIZES = st.sampled_from([0.1, 0.2, 0.3, 0.5, 1 / 3, 0.7, 1.0]) | st.floats(1e-3, 1.0)
CHOICES = [
    lambda item, bins: item - bins,
    lambda item, bins: -np.arange(len(bins)),
    lambda item, bins: bins,
    lambda item, bins: np.sin(1e3 * bins + item),
]


@given(st.lists(st.lists(SIZES, min_size=1, max_size=40), min_size=1, max_size=5), st.sampled_from(CHOICES))
def test_simulating_side_by_side_gives_the_same_result_as_one_by_one(lists: list[list[float]], priority: Any) -> None:
    instances = [Instance(1.0, tuple(items)) for items in lists]
    together, alone = Recorded(priority), Recorded(priority)
    assert needed(together, *instances) == sum(needed(alone, instance) for instance in instances)
    assert sorted(together.calls) == sorted(alone.calls)
    assert needed(together, *instances) == sum(needed_one_by_one(priority, instance) for instance in instances)


@given(st.integers(0, 2**32 - 1))
def test_no_choice_of_bins_beats_the_bound_or_overfills(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instance = or_like(1, 30, seed)[0]
    candidate = Recorded(lambda item, bins: rng.normal(size=len(bins)))
    bins = needed(candidate, instance)
    assert instance.bound <= bins <= len(instance.items)
    assert all(room >= item for item, rooms in candidate.calls for room in rooms)


@given(st.lists(st.floats(allow_nan=False) | st.integers(-9, 9), min_size=1, max_size=9))
def test_highest_priority_is_taken(priorities: list[float]) -> None:
    for answer in (priorities, tuple(priorities), np.array(priorities, dtype=float)):
        assert preferred(answer, len(priorities)) == priorities.index(max(priorities))


@given(st.lists(st.floats(), min_size=1, max_size=9), st.data())
def test_a_single_nan_is_rejected(priorities: list[float], data: st.DataObject) -> None:
    priorities[data.draw(st.integers(0, len(priorities) - 1))] = float("nan")
    with pytest.raises(funsearch.InvalidSolution, match="NaN"):
        preferred(priorities, len(priorities))


@pytest.mark.parametrize(
    "answer",
    [None, 1.0, "ab", [], [1.0], [1.0] * 3, {0: 1.0, 1: 2.0}, [[1.0, 2.0]], [[1.0], [1.0, 2.0]], np.zeros((2, 1))],
)
def test_priorities_of_another_shape_are_rejected(answer: Any) -> None:
    with pytest.raises(funsearch.InvalidSolution, match="2 bins"):
        preferred(answer, 2)


@pytest.mark.parametrize("answer", [["1.0", "2.0"], [None, 1.0], [1j, 1.0], [2**70, 1], [{}, {}]])
def test_priorities_that_are_not_real_numbers_are_rejected(answer: Any) -> None:
    with pytest.raises(funsearch.InvalidSolution, match="not real numbers"):
        preferred(answer, 2)


def test_invalid_answer_sets_the_status_of_the_candidate() -> None:
    assert outcome(Function("    return bins[:1]\n"), PROBLEM.inputs).status is Status.INVALID_SOLUTION


def test_score_is_a_ratio_of_means() -> None:
    instances = [Instance(10.0, (6.0, 6.0)), Instance(10.0, (5.0,) * 6)]  # 2 bins for a bound of 2, 3 for 3
    assert outcome(baseline("best fit"), {"a": instances}).score == 0.0
    worst = Function("    return bins\n")
    assert outcome(worst, {"a": instances}).score == pytest.approx(-100 * (2 + 6 - 5) / 5)


def test_bound_is_not_pushed_up_by_rounding() -> None:
    assert Instance(1.0, (0.1,) * 10).bound == 1
    assert Instance(10.0, (5.0, 5.5)).bound == 2


@pytest.mark.parametrize(
    ("make", "low", "high", "capacity"), [(or_like, 20, 100, 150.0), (weibull_like, 1, 100, 100.0)]
)
def test_recipes_are_seeded_and_within_their_range(make: Any, low: int, high: int, capacity: float) -> None:
    instances = make(3, 2000, seed=7)
    assert instances == make(3, 2000, seed=7)
    assert instances != make(3, 2000, seed=8)
    items = np.array([instance.items for instance in instances])
    assert {instance.capacity for instance in instances} == {capacity}
    assert items.shape == (3, 2000)
    assert (items == np.rint(items)).all()
    assert low <= items.min() <= items.max() <= high


def test_weibull_recipe_has_the_mean_of_its_distribution() -> None:
    items = weibull_like(1, 100_000, seed=0)[0].items
    assert np.mean(items) == pytest.approx(45 * 0.8930, abs=0.2)  # gamma(1 + 1/3)


def test_heldout_inputs_differ_from_those_of_the_search() -> None:
    searched = {instance.items for value in PROBLEM.inputs.values() for instance in value}
    assert not searched & {instance.items for value in PROBLEM.heldout.values() for instance in value}


TINY = {"capacity": 10, "items": [3, 7.5]}


@pytest.mark.parametrize("given", [TINY, [TINY, TINY], (TINY,)])
def test_literals_and_json_are_read(given: Any, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps(given))
    count = len(given) if isinstance(given, Sequence) else 1
    problem = load_problem("bin_packing", inputs=[f"literal={given!r}", f"file=@{file}"])
    for value in problem.inputs.values():
        assert plain(value) == [(10.0, (3.0, 7.5))] * count


def test_or_library_text_is_read(tmp_path: Path) -> None:
    file = tmp_path / "binpack.txt"
    file.write_text("2\n u3_00\n 150 3 2\n100\n20\n30\n u2_01\n 100.5 2 1\n50.5\n49.5\n")
    instances = load_problem("bin_packing", inputs=[f"x=@{file}"]).inputs["x"]
    assert plain(instances) == [(150.0, (100.0, 20.0, 30.0)), (100.5, (50.5, 49.5))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends before"),
        ("0", "no instances"),
        ("[]", "no instances"),
        ("items: 3", "'items:' is not the number of instances"),
        ("1\n a\n 150 2 1\n 100", "ends before"),
        ("1\n a\n 150 2 1\n 100 x", "'x' is not an item of a"),
        ("1\n a\n wide 2 1\n 100 20", "'wide' is not the capacity of a"),
        ("1\n a\n 150 -2 1\n", "'-2' is not the number of items of a"),
        ("1\n a\n 150 1.5 1\n 100", "'1.5' is not the number of items of a"),
        ("1\n a\n 150 1 1\n 100\n 20", "text follows the last instance"),
        ("1\n a\n 150 1 1\n 151", "151 does not fit into a bin of 150"),
        ("1\n a\n 150 0 0\n", "not a list of positive numbers"),
        ('{"capacity": 10}', "an instance is"),
        ('[{"capacity": 10, "items": [3]}, 5]', "an instance is .*, not 5"),
        ('{"capacity": 0, "items": [3]}', "capacity 0 is not a positive"),
        ('{"capacity": true, "items": [1]}', "capacity True is not a positive"),
        ('{"capacity": 10, "items": ["3"]}', "item '3' is not a positive"),
        ('{"capacity": 10, "items": [NaN]}', "item nan is not a positive"),
        ('{"capacity": Infinity, "items": [1]}', "capacity inf is not a positive"),
        ('{"capacity": 10, "items": 3}', "items 3 are not a list"),
        ('{"capacity": 10, "items": [3}', "Expecting"),
    ],
)
def test_invalid_file_is_rejected_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_text(text)
    with pytest.raises(ProblemError, match=f"--input OR1=@.*{message}"):
        load_problem("bin_packing", inputs=[f"OR1=@{file}"])


def test_invalid_literal_is_rejected() -> None:
    with pytest.raises(ProblemError, match="--input n=5: an instance is"):
        load_problem("bin_packing", inputs=["n=5"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["capacity", "items", "x"]), x),
    )
)
def test_reading_an_instance_succeeds_or_raises_value_error(value: Any) -> None:
    try:
        instance = read_instance(value)
    except ValueError:
        return
    assert instance.items
    assert all(0 < item <= instance.capacity for item in instance.items)


def test_class_declares_what_the_search_relies_on() -> None:
    assert BinPacking.reduction == "mean"
    assert BinPacking.partial == "reject"
