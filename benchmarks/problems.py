"""What the boundary costs a whole evaluation: problems scored through the sandbox, beside the same in one process.

    python -m benchmarks.problems [--rounds 5]

In one process, the evaluator calls the program as it would call any Python function, with nothing confined, copied or
timed. The two take turns, and the best of the rounds counts, because only the cost itself recurs in every round.
"""

import argparse
import time
from collections.abc import Callable

from funsearch.core.code import read_file
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import Sandbox
from funsearch.core.records import Status
from funsearch.loading import Problem, load_problem
from funsearch.sandbox import open_sandbox
from funsearch.testing import InProcessSandbox

BEST_FIT = "def priority(item, bins):\n    return item - bins\n"
CASES = [
    ("cap_set", "n8", None),
    ("admissible_set", "I12_7", None),
    ("shannon_capacity", "C11_4", None),
    ("bin_packing", "or500", BEST_FIT),
    ("bin_packing", "weibull5k", BEST_FIT),
]
"""Problem, one of its inputs, and a program in place of the first one."""


def scoring(problem: Problem, name: str, source: str | None, sandbox: Sandbox) -> Callable[[], float]:
    """Returns what scores the program once, and returns the seconds it took."""
    declared = {**problem.inputs, **problem.heldout}
    evaluator = Evaluator(problem.specification, problem.evaluator, sandbox, inputs={name: declared[name]})
    function = problem.specification.first if source is None else read_file(problem.specification, source)

    def score() -> float:
        started = time.perf_counter()
        verdict = evaluator.score(function)
        assert verdict.status is Status.OK, verdict
        return time.perf_counter() - started

    return score


def main() -> None:
    """Prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    sandbox, plain = open_sandbox(), InProcessSandbox()
    print(f"{'problem':<20} {'input':<12} {'in one process':>15} {'level ' + sandbox.level:>10} {'ratio':>7}")
    for name, input_name, source in CASES:
        problem = load_problem(name)
        confined = scoring(problem, input_name, source, sandbox)
        bare = scoring(problem, input_name, source, plain)
        taken = [(bare(), confined()) for _ in range(rounds)]
        without, within = (min(values) for values in zip(*taken, strict=True))
        print(f"{name:<20} {input_name:<12} {without:>13.3f} s {within:>8.3f} s {within / without:>6.2f}x")
    sandbox.close()


if __name__ == "__main__":
    main()
