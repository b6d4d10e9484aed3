"""`funsearch init`: writes two files as a starting point for a new problem."""

from pathlib import Path

import click

from funsearch.cli import options
from funsearch.errors import ProblemError

SPECIFICATION = '''"""Picks many of the numbers below n, no two of which differ by a square."""

# The model sees this docstring, the code below, and versions of the function under @funsearch.evolve.
# Replace all of it with your own problem, and keep it short: it is part of every prompt.

import funsearch


def solve(n: int) -> list[int]:
    """Returns the chosen numbers: by descending priority, those that differ from no earlier one by a square."""
    squares = {k * k for k in range(1, n)}
    chosen: list[int] = []
    for number in sorted(range(n), key=lambda number: -priority(number, n)):
        if all(abs(number - other) not in squares for other in chosen):
            chosen.append(number)
    return chosen


@funsearch.evolve
def priority(number: int, n: int) -> float:
    """Returns the priority of picking `number`."""
    return -float(number % 5)
'''

EVALUATOR = '''"""The model never sees this file: the inputs, and how solutions are scored."""

import math

import funsearch


class {name}(funsearch.ProblemEvaluator):
    inputs = {{"n100": 100, "n200": 200}}
    """The search scores programs on these inputs; a program's score is its score on the last one."""
    heldout = {{"n300": 300}}
    """The search never sees these inputs; the best programs are reported on them."""

    def evaluate(self, candidate, value):
        """Returns the score on one input: the number of chosen numbers. `candidate.solve` runs in the sandbox."""
        numbers = verified(candidate.solve(value), value)
        return len(numbers)

    def draw(self, candidate, value):
        """Optional. Returns a picture of the solution, for `funsearch show RUN PROGRAM --image FILE.svg`."""
        from matplotlib.figure import Figure

        numbers = verified(candidate.solve(value), value)
        figure = Figure(figsize=(8, 1.5), layout="constrained")
        axes = figure.add_subplot(title=f"n = {{value}}: {{len(numbers)}} numbers", xlim=(0, value), yticks=[])
        axes.eventplot(numbers)
        return figure


def verified(numbers, n):
    """Returns the numbers if they are a valid solution. Check everything: a program may return any value."""
    if not isinstance(numbers, list) or not all(type(x) is int and 0 <= x < n for x in numbers):
        raise funsearch.InvalidSolution("not a list of numbers below n")
    for index, number in enumerate(numbers):
        for other in numbers[:index]:
            if math.isqrt(abs(number - other)) ** 2 == abs(number - other):  # 0 is a square, so no number appears twice
                raise funsearch.InvalidSolution(f"{{other}} and {{number}} differ by a square")
    return numbers
'''


@click.command(name="init", short_help="Write the files of a new problem.")
@click.argument("name")
@options.verbosity
def command(name: str) -> None:
    """Writes problems/NAME.py and evaluators/NAME.py: a small problem that runs as it is, to turn into your own.

    \b
    funsearch init my_problem
    funsearch check problems/my_problem.py
    funsearch run problems/my_problem.py
    """
    if not name.isidentifier():
        raise ProblemError(f"{name} cannot be the name of a problem: use letters, digits and _, as in my_problem.")
    class_name = "".join(word[:1].upper() + word[1:] for word in name.split("_")) or "Problem"
    files = {
        Path("problems", f"{name}.py"): SPECIFICATION,
        Path("evaluators", f"{name}.py"): EVALUATOR.format(name=class_name),
    }
    for file in files:
        if file.exists():
            raise ProblemError(f"{file} already exists: choose another name, or remove the file.")
    for file, text in files.items():
        try:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ProblemError(f"Cannot write {file}: {error.strerror}.") from None
        click.echo(f"wrote {file}")
    click.echo(f"  funsearch check problems/{name}.py    runs its first program and shows the first prompt")
    click.echo(f"  funsearch run problems/{name}.py      searches for better programs")
