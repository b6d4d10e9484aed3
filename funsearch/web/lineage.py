"""How a program came about, limited to what one page can show. Knows nothing about where programs are stored."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from funsearch.core.lineage import Step, line_of_descent
from funsearch.core.records import Evaluation
from funsearch.core.specification import Specification
from funsearch.storage.views import Line

DEPTH = 4
"""Levels of ancestors in a tree; each of the last level links to a tree of its own."""
MAX_READ = 90
"""Programs that are read to find a line of descent; its oldest program links to the rest."""
MAX_COMPARED = 4_000
"""Characters of a program in a line of descent: the time to compare two grows with the square of their length."""


@dataclass(frozen=True, slots=True)
class Node:
    """A program above the programs of its prompt."""

    line: Line
    gain: float | None
    """Score of the child, the program above, minus the program's own; None if either has no score."""
    parents: tuple["Node", ...]
    repeated: bool
    """Whether the program is already in the tree, together with its parents."""
    more: bool
    """Whether it has parents that are not shown."""


def tree(program: int, read: Callable[[Iterable[int]], dict[int, Line]]) -> Node:
    """Returns a program and its nearest ancestors.

    Args:
        program: the root of the tree.
        read: returns programs by id.
    """
    lines: dict[int, Line] = {}
    level = {program}
    for _ in range(DEPTH + 1):
        lines |= read(level - lines.keys())
        level = {parent for id in level if id in lines for parent in lines[id].parents}
    return _node(program, None, 0, lines, set())


def steps(specification: Specification, program: int, find: Callable[[int], Evaluation]) -> list[Step] | None:
    """Returns the newest part of the line of descent; None if its programs are too long to be compared here."""
    remaining = MAX_READ

    def bounded(id: int) -> Evaluation:
        nonlocal remaining
        remaining -= 1
        evaluation = find(id)
        function, sample = evaluation.function, evaluation.sample
        if function is not None and len(function.body) + len(function.preamble) > MAX_COMPARED:
            raise _TooLongError
        if remaining < 0:
            return replace(evaluation, sample=replace(sample, prompt=replace(sample.prompt, parents=())))
        return evaluation

    try:
        return line_of_descent(specification, program, bounded)
    except _TooLongError:
        return None


class _TooLongError(Exception):
    """Ends the search for a line of descent."""


def _node(id: int, child: Line | None, depth: int, lines: dict[int, Line], seen: set[int]) -> Node:
    line = lines[id]
    gain = None if child is None or child.score is None or line.score is None else child.score - line.score
    repeated = id in seen
    seen.add(id)
    expanded = depth < DEPTH and not repeated
    parents = tuple(_node(parent, line, depth + 1, lines, seen) for parent in dict.fromkeys(line.parents) if expanded)
    return Node(line, gain, parents, repeated, more=bool(line.parents) and not expanded and not repeated)
