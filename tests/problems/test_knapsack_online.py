"""Online knapsack: the stated scores come out, and a candidate sees and answers only what it should."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funsearch.evaluators.knapsack_online import (
    SHARES,
    Instance,
    KnapsackOnline,
    packed_knapsacks,
    read_instance,
    uncorrelated,
    weakly_correlated,
)
from hypothesis import given, settings
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

PROBLEM = load_problem("knapsack_online")
ITEMS = ((6.0, 5.0), (5.0, 3.0), (4.0, 3.0), (1.0, 1.0))
AMOUNTS = st.integers(1, 30).map(float)


class Recorded:
    """A candidate that keeps what it is asked and answers with a function of ours."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._answer = answer

    def call_many(self, function: str, columns: Sequence[Sequence[Any]]) -> list[Any]:
        assert function == "accept"
        asked = list(zip(*columns, strict=True))
        self.asked += asked
        return [self._answer(*arguments) for arguments in asked]


def values(process: Recorded, *instances: Instance) -> list[float]:
    return [one.value for one in packed_knapsacks(Candidate(process), instances)]  # type: ignore[arg-type]


def packed(answer: Callable[..., Any], instance: Instance) -> float:
    return values(Recorded(answer), instance)[0]


def packed_one_by_one(accept: Callable[..., Any], instance: Instance) -> float:
    """Returns what a plain simulation of one instance comes to."""
    room, taken, left = instance.capacity, [], len(instance.items)
    for value, weight in instance.items:
        left -= 1
        if weight <= room and accept(value, weight, room, instance.capacity, left):
            room -= weight
            taken.append(value)
    return math.fsum(taken)


def outcome(function: Function, inputs: dict[str, Any], sandbox: Sandbox | None = None) -> Outcome:
    return PROBLEM.scorer(sandbox or InProcessSandbox(), inputs=inputs).score(function)


def baseline(name: str) -> Function:
    return read_file(PROBLEM.specification, PROBLEM.evaluator.baselines[name])


def plain(instances: list[Instance]) -> list[tuple[float, Any]]:
    """Returns what instances hold; a loaded problem has a class `Instance` of its own."""
    return [(one.capacity, one.items) for one in instances]


def best_value(instance: Instance) -> float:
    """Returns the value of the best packing, by trying all."""
    subsets = itertools.chain.from_iterable(
        itertools.combinations(instance.items, count) for count in range(len(instance.items) + 1)
    )
    return max(
        sum(value for value, _ in subset)
        for subset in subsets
        if sum(weight for _, weight in subset) <= instance.capacity
    )


def test_first_program_has_the_stated_scores_and_runs_confined(sandbox: Sandbox) -> None:
    first = outcome(PROBLEM.specification.first, PROBLEM.inputs, sandbox)
    assert (first.status, first.error) == (Status.OK, "")
    assert first.scores == pytest.approx({"uncorrelated": 76.7, "weakly": 88.2}, abs=0.05)
    assert first.score == pytest.approx(np.mean(list(first.scores.values())))


@pytest.mark.parametrize(
    ("name", "scores"),
    [("accept everything", (44.6, 75.3)), ("rising threshold", (69.5, 57.8)), ("fluid threshold", (97.6, 96.2))],
)
def test_baselines_have_the_stated_scores(name: str, scores: tuple[float, float]) -> None:
    assert tuple(outcome(baseline(name), PROBLEM.inputs).scores.values()) == pytest.approx(scores, abs=0.05)


def test_baselines_keep_their_order_on_heldout_inputs() -> None:
    inputs = {name: value[:6] for name, value in PROBLEM.heldout.items()}
    everything, fluid = (outcome(baseline(name), inputs) for name in ("accept everything", "fluid threshold"))
    first = outcome(PROBLEM.specification.first, inputs)
    for name in inputs:
        assert everything.scores[name] < first.scores[name] < fluid.scores[name] < 100


def test_candidate_is_asked_for_items_that_fit_one_by_one() -> None:
    candidate = Recorded(lambda value, weight, *rest: value < 6)
    assert values(candidate, Instance(6.0, ITEMS)) == [9.0]
    assert candidate.asked == [(6.0, 5.0, 6.0, 6.0, 3), (5.0, 3.0, 6.0, 6.0, 2), (4.0, 3.0, 3.0, 6.0, 1)]


ACCEPT = [
    lambda value, weight, room, capacity, left: value > weight,
    lambda value, weight, room, capacity, left: value / weight > room / capacity,
    lambda value, weight, room, capacity, left: bool(left % 2),
]
INSTANCES = st.builds(Instance, AMOUNTS, st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=20).map(tuple))


@given(st.lists(INSTANCES, min_size=1, max_size=5), st.sampled_from(ACCEPT))
def test_side_by_side_comes_to_the_same_as_one_by_one(instances: list[Instance], accept: Callable[..., Any]) -> None:
    assert values(Recorded(accept), *instances) == [packed_one_by_one(accept, instance) for instance in instances]


def test_refused_item_is_gone_and_its_room_is_not() -> None:
    assert packed(lambda *_: False, Instance(6.0, ITEMS)) == 0.0
    assert packed(lambda *_: True, Instance(6.0, ITEMS)) == 7.0
    assert packed(lambda *_: True, Instance(13.0, ITEMS)) == 16.0


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=7), AMOUNTS, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_choices_beat_the_best_packing_nor_that_the_bound(
    items: list[tuple[float, float]], capacity: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    instance = Instance(capacity, tuple(items))
    candidate = Recorded(lambda *_: bool(rng.random() < 0.5))
    assert values(candidate, instance)[0] <= best_value(instance) <= instance.bound * (1 + 1e-12)
    assert all(weight <= room <= capacity for _, weight, room, *_ in candidate.asked)


def test_bound_cuts_the_last_item() -> None:
    assert Instance(4.0, ITEMS).bound == pytest.approx(5 + 4 / 3)
    assert Instance(3.0, ITEMS).bound == 5.0
    assert Instance(100.0, ITEMS).bound == 16.0
    assert Instance(1.0, ((8.0, 2.0),)).bound == 4.0


@pytest.mark.parametrize(
    "answer", [None, 1, 0, 1.0, float("nan"), "True", "", [], [True], (True,), {}, 2**70, np.array(True)]
)
def test_answer_other_than_true_or_false_is_refused(answer: Any) -> None:
    for late in (False, True):  # whichever item it is given to
        with pytest.raises(funsearch.InvalidSolution, match="neither True nor False"):
            packed(lambda value, *_, late=late: answer if value == 1.0 or not late else False, Instance(6.0, ITEMS))


def test_invalid_answer_is_an_invalid_solution(sandbox: Sandbox) -> None:
    assert outcome(Function("    return value\n"), PROBLEM.inputs, sandbox).status is Status.INVALID_SOLUTION


def test_truth_of_numpy_is_understood(sandbox: Sandbox) -> None:
    first = outcome(Function("    return np.log(value / weight) > 0.0\n"), PROBLEM.inputs, sandbox)
    assert first.scores == outcome(PROBLEM.specification.first, PROBLEM.inputs).scores


def test_score_is_the_mean_of_percentages() -> None:
    instances = [Instance(6.0, ITEMS), Instance(13.0, ITEMS)]
    score = outcome(baseline("accept everything"), {"a": instances}).score
    assert score == pytest.approx((100 * 7 / 9 + 100 * 16 / 16) / 2)


def test_packing_nothing_scores_zero() -> None:
    assert outcome(Function("    return False\n"), PROBLEM.inputs).score == 0.0


@pytest.mark.parametrize("make", [uncorrelated, weakly_correlated])
def test_recipes_are_seeded_and_within_their_range(make: Any) -> None:
    instances = make(4, 500, seed=7)
    assert instances == make(4, 500, seed=7)
    assert instances != make(4, 500, seed=8)
    assert [one.capacity / (50.5 * 500) for one in instances] == pytest.approx([*SHARES, SHARES[0]], abs=1e-4)
    items = np.array([one.items for one in instances])
    assert items.shape == (4, 500, 2)
    assert (items == np.rint(items)).all()
    assert items.min() >= 1
    assert items[..., 1].max() <= 100
    if make is weakly_correlated:
        assert np.abs(items[..., 0] - items[..., 1]).max() <= 20


def test_heldout_inputs_are_none_of_the_search() -> None:
    searched = {one.items for value in PROBLEM.inputs.values() for one in value}
    for others in (PROBLEM.heldout, PROBLEM.evaluator.selection):
        assert not searched & {one.items for value in others.values() for one in value}


TINY = {"capacity": 6, "items": [[6, 5], [5.5, 3]]}


@pytest.mark.parametrize("value", [TINY, [TINY, TINY], (TINY,)])
def test_literals_and_json_are_read(value: Any, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps(value))
    count = 1 if isinstance(value, dict) else len(value)
    problem = load_problem("knapsack_online", inputs=[f"literal={value!r}", f"file=@{file}"])
    for instances in problem.inputs.values():
        assert plain(instances) == [(6.0, ((6.0, 5.0), (5.5, 3.0)))] * count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no instances"),
        ("5", "an instance is .*, not 5"),
        ('{"capacity": 10}', "an instance is"),
        ('{"capacity": 0, "items": [[1, 1]]}', "capacity 0 is no number"),
        ('{"capacity": true, "items": [[1, 1]]}', "capacity True is no number"),
        ('{"capacity": 10, "items": 3}', "items 3 are no list"),
        ('{"capacity": 10, "items": []}', "are no list"),
        ('{"capacity": 10, "items": [3]}', "item 3 is no pair"),
        ('{"capacity": 10, "items": [[3]]}', "is no pair"),
        ('{"capacity": 10, "items": [[3, 4, 5]]}', "is no pair"),
        ('{"capacity": 10, "items": [[3, "4"]]}', "is no pair"),
        ('{"capacity": 10, "items": [[3, 0]]}', "is no pair"),
        ('{"capacity": 10, "items": [[-3, 1]]}', "is no pair"),
        ('{"capacity": 10, "items": [[NaN, 1]]}', "is no pair"),
        ('{"capacity": 10, "items": [[1, Infinity]]}', "is no pair"),
        ('{"capacity": 10, "items": [[1, 1e-300]]}', "is no pair"),
        ('{"capacity": 10, "items": [[3, 4}', "Expecting"),
    ],
)
def test_unusable_file_is_refused_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(ProblemError, match=f"--input x=@.*{message}"):
        load_problem("knapsack_online", inputs=[f"x=@{file}"])


@given(
    st.fixed_dictionaries(
        {"capacity": st.floats() | st.integers() | st.none(), "items": st.lists(st.lists(st.floats(), max_size=3))}
    )
)
@settings(deadline=None)
def test_reading_an_instance_gives_one_with_a_bound_or_a_value_error(value: Any) -> None:
    try:
        instance = read_instance(value)
    except ValueError:
        return
    assert 0 < instance.bound < math.inf


def test_class_declares_what_the_search_relies_on() -> None:
    assert KnapsackOnline.reduction == "mean"
    assert KnapsackOnline.partial == "reject"
