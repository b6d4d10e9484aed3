"""Every shipped problem draws what its first program builds, and draws nothing that `evaluate` rejects."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from funsearch.core.ports import Sandbox
from funsearch.core.problem import Candidate, InvalidSolution
from funsearch.loading import load_problem, shipped
from funsearch.picture import save

SMALLEST = {
    "admissible_set": (3, 2),
    "admissible_set_full": (1, 1),
    "bin_packing": {"capacity": 3, "items": [2]},
    "cap_set": 1,
    "circle_packing": 1,
    "corners": (2, 1),
    "flow_shop": [[3]],
    "knapsack_online": {"capacity": 3, "items": [[2, 1]]},
    "no_three_in_line": 1,
    "shannon_capacity": (3, 1),
    "sidon_set": 1,
    "symbolic_regression": {"x": [0, 1], "v": [0, 1], "a": [0, 1]},
    "tsp_constructive": {"cities": [[0, 0], [1, 0], [0, 1]]},
}
"""The smallest meaningful input of each problem, as written for --input."""
LARGER = {
    "admissible_set": (12, 7),
    "admissible_set_full": (6, 4),
    "bin_packing": {"capacity": 9, "items": [4, 6, 5, 2, 8, 1]},
    "cap_set": 7,
    "circle_packing": 10,
    "corners": (3, 2),
    "flow_shop": [[3, 9, 1], [4, 1, 5], [2, 6, 8]],
    "knapsack_online": {"capacity": 9, "items": [[2, 1], [1, 2], [3, 3], [9, 8]]},
    "no_three_in_line": 7,
    "shannon_capacity": (5, 3),
    "sidon_set": 40,
    "symbolic_regression": {"x": [0, 1, 2], "v": [0, 1, 1], "a": [0, 1, -1]},
    "tsp_constructive": {"cities": [[0, 0], [1, 0], [0, 1], [2, 2]]},
}


class Answering:
    """A candidate that answers every call with the same value."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def call(self, function: str, args: Sequence[Any]) -> Any:
        return self._answer

    def call_many(self, function: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        return [self._answer for _ in calls]


def said_to(method: Any, answer: Any, value: Any) -> str:
    """Returns the message with which a method rejects an answer; empty if it accepts it."""
    try:
        method(Candidate(Answering(answer)), value)  # type: ignore[arg-type]
    except InvalidSolution as error:
        return str(error)
    return ""


def test_every_shipped_problem_is_covered_here() -> None:
    assert set(SMALLEST) == set(LARGER) == {info.name for info in shipped()}


@pytest.mark.parametrize("name", SMALLEST)
def test_first_program_is_drawn_and_saved(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    problem = load_problem(name, inputs=[f"small={SMALLEST[name]!r}", f"larger={LARGER[name]!r}"])
    evaluator = problem.scorer(sandbox)
    for which in problem.inputs:
        figure = evaluator.draw(problem.specification.first, which)
        assert figure.axes
        assert any(axes.get_title() for axes in figure.axes) or figure.get_suptitle()
        save(figure, tmp_path / "picture.svg")
        save(figure, tmp_path / "picture.png")
        assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (tmp_path / "picture.svg").read_bytes()


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("answer", [None, "x", [], {}, [[7]], [0, 0], [[0, 0, 0]], 2.5, float("nan")], ids=repr)
def test_picture_is_rejected_with_the_message_of_the_score(name: str, answer: Any) -> None:
    problem = load_problem(name, inputs=[f"value={LARGER[name]!r}"])
    value = problem.inputs["value"]
    assert said_to(problem.evaluator.draw, answer, value) == said_to(problem.evaluator.evaluate, answer, value)
