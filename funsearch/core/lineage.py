"""The lineage of a program: its ancestors, step by step, with the gain in score of each step.

Knows nothing about where programs are stored.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from funsearch.core.records import Evaluation
from funsearch.core.specification import Specification

MAX_COMPARED = 4000
"""Characters of a function that are compared with another function: the time is quadratic in their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One program in a line of descent."""

    program: int
    evaluation: Evaluation
    parent: int | None
    """The program in its prompt that it is most similar to; None for the first program."""
    gain: float | None
    """Its score minus that of the parent; None if either has no score."""
    diff: str
    """Unified diff from the parent's function to its own."""
    others: Mapping[int, float | None]
    """The other programs in its prompt, each with the gain over it."""


def line_of_descent(specification: Specification, program: int, find: Callable[[int], Evaluation]) -> list[Step]:
    """Returns the steps from the first program to `program`, oldest first.

    A prompt shows several programs, and the model may have built on any of them. The parent is the program whose text
    is most similar to the new one; ties go to the one with the higher score.

    Args:
        specification: the problem's specification.
        program: id of the last program in the line.
        find: returns the evaluation of the program with an id.
    """
    steps = []
    current: int | None = program
    while current is not None:
        evaluation = find(current)
        parents = {id: find(id) for id in reversed(evaluation.sample.prompt.parents)}
        source = _source(specification, evaluation)
        similarities = {id: _similarity(_source(specification, parent), source) for id, parent in parents.items()}
        parent = max(similarities, key=similarities.__getitem__) if similarities else None
        gain = None if parent is None else _gain(parents[parent], evaluation)
        diff = "" if parent is None else difference(specification, parent, parents[parent], current, evaluation)
        others = {id: _gain(other, evaluation) for id, other in sorted(parents.items()) if id != parent}
        steps.append(Step(program=current, evaluation=evaluation, parent=parent, gain=gain, diff=diff, others=others))
        current = parent
    return steps[::-1]


def ancestors(program: int, find: Callable[[int], Evaluation]) -> dict[int, tuple[int, ...]]:
    """Returns the parents of a program and of all its ancestors, by id, oldest first."""
    parents: dict[int, tuple[int, ...]] = {}
    pending = [program]
    while pending:
        id = pending.pop()
        if id not in parents:
            parents[id] = find(id).sample.prompt.parents
            pending += parents[id]
    return dict(sorted(parents.items()))


def difference(specification: Specification, a: int, before: Evaluation, b: int, after: Evaluation) -> str:
    """Returns a unified diff of the functions of programs `a` and `b`; empty if they are equal."""
    old, new = (_source(specification, evaluation).splitlines() for evaluation in (before, after))
    return "\n".join(difflib.unified_diff(old, new, f"program {a}", f"program {b}", lineterm=""))


def _source(specification: Specification, evaluation: Evaluation) -> str:
    return specification.function_source(evaluation.function) if evaluation.function else ""


def _similarity(old: str, new: str) -> float:
    return difflib.SequenceMatcher(None, old[:MAX_COMPARED], new[:MAX_COMPARED], autojunk=False).ratio()


def _gain(before: Evaluation, after: Evaluation) -> float | None:
    if before.score is None or after.score is None:
        return None
    return after.score - before.score
