"""Problems written as one class: the texts they become, that they search in the real sandbox, and what is refused."""

import linecache
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funsearch
from funsearch.core.prompt import best_shot_prompt
from funsearch.loading import load

SIDE = 3


@funsearch.problem(inputs={"n4": 4}, heldout={"n5": 5}, evolve="priority")
class CapSet:
    """Finds large cap sets."""

    def solve(n):  # type: ignore[no-untyped-def]
        """Returns a cap set, built greedily."""
        vectors = sorted(np.ndindex(*[SIDE] * n), key=lambda vector: -priority(vector, n))  # noqa: F821
        chosen: list[Any] = []
        for vector in vectors:
            pairs = [(a, b) for i, a in enumerate(chosen) for b in chosen[:i]]
            if all(any((x + y + z) % 3 for x, y, z in zip(vector, a, b, strict=True)) for a, b in pairs):
                chosen.append(tuple(int(x) for x in vector))
        return chosen

    @staticmethod
    def priority(el: tuple[int, ...], n: int) -> float:
        """Returns the priority of the vector `el`."""
        return float(el.count(2) == 0)

    limits = funsearch.Limits(seconds=20)

    def evaluate(self, candidate, value):  # type: ignore[no-untyped-def]
        return self._size(candidate.solve(value))

    def _size(self, vectors):  # type: ignore[no-untyped-def]
        if not isinstance(vectors, list):
            raise funsearch.InvalidSolution("not a list")
        return math.floor(len(vectors))


def test_class_becomes_a_problem_file_and_an_evaluator_file() -> None:
    problem: funsearch.Problem = CapSet
    assert (problem.name, problem.inputs, problem.heldout) == ("cap_set", {"n4": 4}, {"n5": 5})
    prompt = best_shot_prompt(problem.specification, [problem.specification.first])
    assert prompt.startswith('"""Finds large cap sets."""\n')
    assert "import numpy as np" in prompt
    assert "SIDE = 3" in prompt
    assert "def solve(n)" in problem.source.specification
    assert "def priority_v1(el: tuple[int, ...], n: int) -> float:" in prompt
    assert "evaluate" not in prompt
    assert "import math" in problem.source.evaluator
    assert load(problem.source).evaluator.limits.seconds == 20


def test_search_on_a_class_runs_in_the_sandbox_and_resumes_from_the_record(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with funsearch.Search(CapSet, storage=url, name="caps") as search:
        (prompt,) = search.ask()
        search.tell(prompt, ["    return float(sum(el) % 3)\n"])
        assert search.best().score >= 16.0
    with funsearch.Search.resume("caps", storage=url) as again:
        assert again.problem.inputs == {"n4": 4}


def cell(text: str) -> dict[str, Any]:
    """Executes text as a notebook executes a cell: its lines are known to linecache only."""
    name = f"<ipython-input-{len(linecache.cache)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), space)
    return space


CELL = """
import funsearch
{before}

@funsearch.problem(inputs={inputs}, evolve="{evolve}")
class Closeness:
    "Finds a number close to the input."
    def guess(x):
        "Returns a guess."
        return {guess}
    def evaluate(self, candidate, value):
        return -abs(candidate.guess(value) - value)
"""
BARE = "@funsearch.problem(inputs={'a': 1}, evolve='f')\nclass Bare:\n    def f(x): return x\n"
PARTS = {"before": "", "inputs": {"three": 3.0}, "evolve": "guess", "guess": "0.0"}


def test_source_is_taken_from_a_notebook_cell() -> None:
    problem = cell(CELL.format(**PARTS))["Closeness"]
    assert problem.inputs == {"three": 3.0}
    assert problem.specification.first.body == "    return 0.0\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evolve": "gess"}, "Closeness has no function gess to evolve.* guess"),
        ({"evolve": "not a name"}, "evolve = 'not a name': give the name"),
        ({"inputs": "{'three': object()}"}, r"inputs\['three'\] = <object .*give plain Python data"),
        ({"inputs": "[3.0]"}, r"inputs = \[3.0\]: give a dict"),
        ({"inputs": "{3: 3.0}"}, r"inputs = {3: 3.0}: give a dict"),
        ({"guess": "missing(x)"}, "Closeness uses missing, which is not defined"),
        (
            {"before": "def helper(x):\n    return x", "guess": "helper(x)"},
            "uses helper, which is defined beside",
        ),
        ({"inputs": "{}"}, "closeness has no inputs"),
    ],
)
def test_class_that_cannot_be_a_problem_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(funsearch.ProblemError, match=message):
        cell(CELL.format(**{**PARTS, **changes}))


def test_class_without_evaluate_or_source_is_refused() -> None:
    with pytest.raises(funsearch.ProblemError, match="Nothing has no `evaluate"):

        @funsearch.problem(inputs={"a": 1}, evolve="guess")
        class Nothing:
            def guess(x):  # type: ignore[no-untyped-def]
                return x

    with pytest.raises(funsearch.ProblemError, match="The source of the class Bare cannot be read"):
        exec(BARE, {"funsearch": funsearch})
    with pytest.raises(funsearch.ProblemError, match="decorates a class"):
        funsearch.problem(inputs={"a": 1}, evolve="f")(lambda x: x)  # type: ignore[arg-type]
