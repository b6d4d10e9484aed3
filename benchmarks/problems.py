"""What the boundary costs a whole evaluation: problems scored through the sandbox, beside a plain loop in one process.

    python -m benchmarks.problems [--rounds 9]

The plain loop runs the same program in this process, with nothing confined, copied or timed: the evaluator calls it as
any Python function; bin packing, which has its own way of asking, is simulated item by item as one would write it
down. The two take turns, and the best of the rounds counts, because only the cost itself recurs in every round.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funsearch.core.code.reading import read_file
from funsearch.core.ports import Sandbox
from funsearch.core.problem import ProblemEvaluator
from funsearch.core.records import Status
from funsearch.loading import load_problem
from funsearch.sandbox import open_sandbox

BEST_FIT = "def priority(item, bins):\n    return item - bins\n"


class Functions:
    """The functions of a program in this process, called directly."""

    def __init__(self, source: str) -> None:
        self.names: dict[str, Any] = {}
        exec(compile(source, "<program>", "exec"), self.names)

    def __getattr__(self, name: str) -> Any:
        return self.names[name]


Plain = Callable[[ProblemEvaluator, Functions, Any], object]


def scored(evaluator: ProblemEvaluator, functions: Functions, value: Any) -> object:
    """Scores a program that returns an object."""
    return evaluator.evaluate(functions, value)  # type: ignore[arg-type]


def packed(evaluator: ProblemEvaluator, functions: Functions, instances: Sequence[Any]) -> object:
    """Packs the items of one instance after the other, one by one."""
    bins = 0
    for instance in instances:
        room = np.full(len(instance.items) + 1, instance.capacity)
        opened = 0
        for item in instance.items:
            fitting = np.flatnonzero(room[: opened + 1] >= item)
            chosen = fitting[np.argmax(functions.priority(item, room[fitting]))]
            room[chosen] -= item
            opened += int(chosen == opened)
        bins += opened
    bound = sum(instance.bound for instance in instances)
    return -100.0 * (bins - bound) / bound


@dataclass(frozen=True)
class Case:
    """A problem, one of its inputs, a program in place of the first one, and the plain loop."""

    problem: str
    input: str
    source: str | None = None
    plain: Plain = scored


CASES = [
    Case("cap_set", "n8"),
    Case("admissible_set", "I12_7"),
    Case("shannon_capacity", "C11_4"),
    Case("bin_packing", "or500", BEST_FIT, packed),
    Case("bin_packing", "weibull5k", BEST_FIT, packed),
]


def measure(case: Case, sandbox: Sandbox, rounds: int) -> tuple[float, float]:
    """Returns the seconds of the plain loop and of the evaluation through the sandbox; both come to the same score."""
    problem = load_problem(case.problem)
    inputs: Mapping[str, Any] = {**problem.inputs, **problem.heldout}
    value = inputs[case.input]
    specification = problem.specification
    function = specification.first if case.source is None else read_file(specification, case.source)
    source = specification.program(function)
    evaluator = problem.scorer(sandbox, inputs={case.input: value})
    without, within = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        score = case.plain(problem.evaluator, Functions(source), value)
        without.append(time.perf_counter() - started)
        started = time.perf_counter()
        outcome = evaluator.score(function)
        within.append(time.perf_counter() - started)
        assert (outcome.status, outcome.score) == (Status.OK, score), (outcome, score)
    return min(without), min(within)


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    sandbox = open_sandbox()
    print(f"{'problem':<20} {'input':<12} {'plain loop':>15} {'level ' + sandbox.level:>10} {'ratio':>7}")
    for case in CASES:
        without, within = measure(case, sandbox, rounds)
        print(f"{case.problem:<20} {case.input:<12} {without:>13.4f} s {within:>8.4f} s {within / without:>6.2f}x")
    sandbox.close()


if __name__ == "__main__":
    main()
