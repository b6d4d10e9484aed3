"""A small problem and answers for it, for the tests of the runtime."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from funsearch.loading import Problem, load_problem

SPECIFICATION = '''"""Finds a number close to the target."""
import funsearch


@funsearch.evolve
def guess(x: float) -> float:
    """Returns a number that ought to be the target."""
    return 0.0
'''

EVALUATOR = '''"""Scores how close the guess is."""
import funsearch


class Closeness(funsearch.ProblemEvaluator):
    inputs = {"three": 3.0, "five": 5.0}
    heldout = {"seven": 7.0}
    limits = funsearch.Limits(seconds=5.0)

    def evaluate(self, candidate, value):
        answer = candidate.guess(value)
        if not isinstance(answer, (int, float)):
            raise funsearch.InvalidSolution(f"not a number: {answer!r}")
        return -abs(answer - value)
'''


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A Ray of the module's own."""
    import ray

    from funsearch.runtime.ray_session import start_ray

    start_ray(None)
    yield
    ray.shutdown()


@pytest.fixture
def problem_file(tmp_path: Path) -> Path:
    """The problem as a pair of files in a folder of its own."""
    (tmp_path / "problems").mkdir()
    (tmp_path / "evaluators").mkdir()
    (tmp_path / "evaluators" / "closeness.py").write_text(EVALUATOR)
    file = tmp_path / "problems" / "closeness.py"
    file.write_text(SPECIFICATION)
    return file


@pytest.fixture
def problem(problem_file: Path) -> Problem:
    """The problem, loaded."""
    return load_problem(str(problem_file))


@pytest.fixture
def answers() -> Callable[[int], list[str]]:
    """Makes any number of completions, good ones and bad ones."""
    return make_answers


def make_answers(count: int) -> list[str]:
    """Returns completions of every kind: better and worse, the same again, unreadable, raising, of a wrong type."""
    bodies = [
        "    return x\n",
        "    return x * 0.5\n",
        "    return x  # the same again\n",
        "this is no code at all (\n",
        "    return 1 / 0\n",
        "    return 'text'\n",
        "    return guess_v0(x)\n",
        "    return float('nan')\n",
    ]
    return [bodies[i % 8] if i % 3 else f"    return x + {i % 50} * 0.25\n" for i in range(count)]
