"""How a program came about, as far as a page can show it at once. Knows nothing about where programs are kept."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from funsearch.core.lineage import Step, line_of_descent
from funsearch.core.records import Evaluation
from funsearch.core.specification import Specification
from funsearch.storage.views import Line

DEPTH = 4
"""Generations of ancestors in a tree; one walks on from any of them."""
MOST_READ = 90
"""Programs that are read to find a line of descent; one walks on from its oldest."""
MOST_COMPARED = 4_000
"""Characters of a program in a line of descent: comparing takes time with their square."""


@dataclass(frozen=True, slots=True)
class Node:
    """A program with those of its prompt."""

    line: Line
    gain: float | None
    """The score of the program below, its child, less its own; None where either has none."""
    parents: tuple["Node", ...]
    again: bool
    """Whether it is in the tree before this, with its parents there."""
    more: bool
    """Whether it has parents that are not shown."""


def tree(program: int, read: Callable[[Iterable[int]], dict[int, Line]], known: dict[int, Line]) -> Node:
    """Returns the program and its nearest ancestors.

    Args:
        program: the root of the tree.
        read: returns programs by id.
        known: what was read already; filled here.
    """
    level = {program}
    for _ in range(DEPTH + 1):
        known |= read(level - known.keys())
        level = {parent for id in level if id in known for parent in known[id].parents}
    return _node(program, None, 0, known, set())


def steps(specification: Specification, program: int, find: Callable[[int], Evaluation]) -> list[Step] | None:
    """Returns the newest part of the line of descent; None if its programs are too long to be compared here."""
    left = MOST_READ

    def bounded(id: int) -> Evaluation:
        nonlocal left
        left -= 1
        evaluation = find(id)
        function, sample = evaluation.function, evaluation.sample
        if function is not None and len(function.body) + len(function.preamble) > MOST_COMPARED:
            raise _TooLongError
        if left < 0:
            return replace(evaluation, sample=replace(sample, prompt=replace(sample.prompt, parents=())))
        return evaluation

    try:
        return line_of_descent(specification, program, bounded)
    except _TooLongError:
        return None


class _TooLongError(Exception):
    """Ends the search for a line of descent."""


def _node(id: int, child: Line | None, depth: int, known: dict[int, Line], seen: set[int]) -> Node:
    line = known[id]
    gain = None if child is None or child.score is None or line.score is None else child.score - line.score
    again = id in seen
    seen.add(id)
    whole = depth < DEPTH and not again
    parents = tuple(_node(parent, line, depth + 1, known, seen) for parent in dict.fromkeys(line.parents) if whole)
    return Node(line, gain, parents, again, more=bool(line.parents) and not whole and not again)
