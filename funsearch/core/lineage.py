"""How a program came about: the programs it was made from, step by step, with what each step gained.

Knows nothing about where programs are kept.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from funsearch.core.records import Evaluation
from funsearch.core.specification import Specification

MOST_COMPARED = 4000
"""Characters of a function by which it is likened to another: the time grows with their square."""


@dataclass(frozen=True, slots=True)
class Step:
    """One program of a line of descent."""

    program: int
    evaluation: Evaluation
    parent: int | None
    """The one of its prompt's programs that it is most like; None for the first program."""
    gain: float | None
    """Its score less that parent's; None where either has none."""
    diff: str
    """What changed from that parent: a unified diff of the functions."""
    others: Mapping[int, float | None]
    """The prompt's other programs, each with its gain over it."""


def line_of_descent(specification: Specification, program: int, find: Callable[[int], Evaluation]) -> list[Step]:
    """Returns the steps from the first program to `program`, the oldest first.

    A prompt shows several programs, and the model may have taken up any of them; a step goes back to the one whose text
    the new program is most like, of equals the one with the higher score.

    Args:
        specification: of the problem.
        program: where the line ends.
        find: returns the evaluation of a program id.
    """
    steps = []
    next_one: int | None = program
    while next_one is not None:
        evaluation = find(next_one)
        parents = {id: find(id) for id in reversed(evaluation.sample.prompt.parents)}
        source = _source(specification, evaluation)
        likeness = {id: _likeness(_source(specification, parent), source) for id, parent in parents.items()}
        parent = max(likeness, key=likeness.__getitem__) if likeness else None
        gain = None if parent is None else _gain(parents[parent], evaluation)
        diff = "" if parent is None else difference(specification, parent, parents[parent], next_one, evaluation)
        others = {id: _gain(one, evaluation) for id, one in sorted(parents.items()) if id != parent}
        steps.append(Step(next_one, evaluation, parent, gain, diff, others))
        next_one = parent
    return steps[::-1]


def ancestors(program: int, find: Callable[[int], Evaluation]) -> dict[int, tuple[int, ...]]:
    """Returns the program and all it descends from through any prompt, each with its parents, the oldest first."""
    found: dict[int, tuple[int, ...]] = {}
    left = [program]
    while left:
        id = left.pop()
        if id not in found:
            found[id] = find(id).sample.prompt.parents
            left += found[id]
    return dict(sorted(found.items()))


def difference(specification: Specification, a: int, before: Evaluation, b: int, after: Evaluation) -> str:
    """Returns a unified diff of two programs' functions, empty if they are the same."""
    old, new = (_source(specification, evaluation).splitlines() for evaluation in (before, after))
    return "\n".join(difflib.unified_diff(old, new, f"program {a}", f"program {b}", lineterm=""))


def _source(specification: Specification, evaluation: Evaluation) -> str:
    return specification.function_source(evaluation.function) if evaluation.function else ""


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one[:MOST_COMPARED], other[:MOST_COMPARED], autojunk=False).ratio()


def _gain(before: Evaluation, after: Evaluation) -> float | None:
    if before.score is None or after.score is None:
        return None
    return after.score - before.score
