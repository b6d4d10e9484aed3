"""Online knapsack: the stated scores are reproduced, and a candidate sees and returns only what it should."""

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
    """A candidate that records its calls and answers with a trusted function."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._answer = answer

    def call_many(self, function: str, columns: Sequence[Sequence[Any]]) -> list[Any]:
        assert function == "accept"
        calls = list(zip(*columns, strict=True))
        self.calls += calls
        return [self._answer(*arguments) for arguments in calls]


def values(process: Recorded, *instances: Instance) -> list[float]:
    return [knapsack.value for knapsack in packed_knapsacks(Candidate(process), instances)]  # type: ignore[arg-type]


def packed(answer: Callable[..., Any], instance: Instance) -> float:
    return values(Recorded(answer), instance)[0]


def packed_one_by_one(accept: Callable[..., Any], instance: Instance) -> float:
    """Returns the result of a plain simulation of one instance."""
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
    """Returns the contents of instances; each loaded problem has its own class `Instance`."""
    return [(instance.capacity, instance.items) for instance in instances]


def best_value(instance: Instance) -> float:
    """Returns the value of the best packing, found by exhaustive search."""
    subsets = itertools.chain.from_iterable(
        itertools.combinations(instance.items, count) for count in range(len(instance.items) + 1)
    )
    return max(
        sum(value for value, _ in subset)
        for subset in subsets
        if sum(weight for _, weight in subset) <= instance.capacity
    )


def test_first_program_has_the_stated_scores_and_runs_in_the_sandbox(sandbox: Sandbox) -> None:
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


def test_candidate_is_called_for_each_item_that_fits() -> None:
    candidate = Recorded(lambda value, weight, *rest: value < 6)
    assert values(candidate, Instance(6.0, ITEMS)) == [9.0]
    assert candidate.calls == [(6.0, 5.0, 6.0, 6.0, 3), (5.0, 3.0, 6.0, 6.0, 2), (4.0, 3.0, 3.0, 6.0, 1)]


ACCEPT = [
    lambda value, weight, room, capacity, left: value > weight,
    lambda value, weight, room, capacity, left: value / weight > room / capacity,
    lambda value, weight, room, capacity, left: bool(left % 2),
]
INSTANCES = st.builds(Instance, AMOUNTS, st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=20).map(tuple))


@given(st.lists(INSTANCES, min_size=1, max_size=5), st.sampled_from(ACCEPT))
def test_simulating_side_by_side_gives_the_same_result_as_one_by_one(
    instances: list[Instance], accept: Callable[..., Any]
) -> None:
    assert values(Recorded(accept), *instances) == [packed_one_by_one(accept, instance) for instance in instances]


def test_rejected_item_is_lost_and_takes_no_room() -> None:
    assert packed(lambda *_: False, Instance(6.0, ITEMS)) == 0.0
    assert packed(lambda *_: True, Instance(6.0, ITEMS)) == 7.0
    assert packed(lambda *_: True, Instance(13.0, ITEMS)) == 16.0


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=7), AMOUNTS, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_choices_never_beat_the_best_packing_which_never_beats_the_bound(
    items: list[tuple[float, float]], capacity: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    instance = Instance(capacity, tuple(items))
    candidate = Recorded(lambda *_: bool(rng.random() < 0.5))
    assert values(candidate, instance)[0] <= best_value(instance) <= instance.bound * (1 + 1e-12)
    assert all(weight <= room <= capacity for _, weight, room, *_ in candidate.calls)


def test_bound_cuts_the_last_item() -> None:
    assert Instance(4.0, ITEMS).bound == pytest.approx(5 + 4 / 3)
    assert Instance(3.0, ITEMS).bound == 5.0
    assert Instance(100.0, ITEMS).bound == 16.0
    assert Instance(1.0, ((8.0, 2.0),)).bound == 4.0


@pytest.mark.parametrize(
    "answer", [None, 1, 0, 1.0, float("nan"), "True", "", [], [True], (True,), {}, 2**70, np.array(True)]
)
def test_answer_other_than_true_or_false_is_rejected(answer: Any) -> None:
    for late in (False, True):  # for the first or a later item
        with pytest.raises(funsearch.InvalidSolution, match="neither True nor False"):
            packed(lambda value, *_, late=late: answer if value == 1.0 or not late else False, Instance(6.0, ITEMS))


def test_invalid_answer_sets_the_status_of_the_candidate(sandbox: Sandbox) -> None:
    assert outcome(Function("    return value\n"), PROBLEM.inputs, sandbox).status is Status.INVALID_SOLUTION


def test_numpy_booleans_are_accepted(sandbox: Sandbox) -> None:
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
    assert [instance.capacity / (50.5 * 500) for instance in instances] == pytest.approx([*SHARES, SHARES[0]], abs=1e-4)
    items = np.array([instance.items for instance in instances])
    assert items.shape == (4, 500, 2)
    assert (items == np.rint(items)).all()
    assert items.min() >= 1
    assert items[..., 1].max() <= 100
    if make is weakly_correlated:
        assert np.abs(items[..., 0] - items[..., 1]).max() <= 20


def test_heldout_inputs_differ_from_those_of_the_search() -> None:
    searched = {instance.items for value in PROBLEM.inputs.values() for instance in value}
    for others in (PROBLEM.heldout, PROBLEM.evaluator.selection):
        assert not searched & {instance.items for value in others.values() for instance in value}


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
        ('{"capacity": 0, "items": [[1, 1]]}', "capacity 0 is not a number"),
        ('{"capacity": true, "items": [[1, 1]]}', "capacity True is not a number"),
        ('{"capacity": 10, "items": 3}', "items 3 are not a list"),
        ('{"capacity": 10, "items": []}', "are not a list"),
        ('{"capacity": 10, "items": [3]}', "item 3 is not a pair"),
        ('{"capacity": 10, "items": [[3]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[3, 4, 5]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[3, "4"]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[3, 0]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[-3, 1]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[NaN, 1]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[1, Infinity]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[1, 1e-300]]}', "is not a pair"),
        ('{"capacity": 10, "items": [[3, 4}', "Expecting"),
    ],
)
def test_invalid_file_is_rejected_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
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
def test_reading_an_instance_with_a_bound_succeeds_or_raises_value_error(value: Any) -> None:
    try:
        instance = read_instance(value)
    except ValueError:
        return
    assert 0 < instance.bound < math.inf


def test_class_declares_what_the_search_relies_on() -> None:
    assert KnapsackOnline.reduction == "mean"
    assert KnapsackOnline.partial == "reject"
