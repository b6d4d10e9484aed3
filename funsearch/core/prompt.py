"""The best-shot prompt: programs in ascending order of score, and the header of the function to be written.

Knows nothing about how the programs are chosen, or about tokenization.
"""

from collections.abc import Sequence

from funsearch.core.code.naming import versioned
from funsearch.core.records import Function
from funsearch.core.specification import Specification

MAX_NOTES = 400
"""Characters of a program's notes that a prompt shows; they cost tokens in every prompt."""


def best_shot_prompt(specification: Specification, functions: Sequence[Function], notes: Sequence[str] = ()) -> str:
    """Returns the prompt that shows `functions` as `f_v0` to `f_v{k-1}` and asks for `f_v{k}` (FunSearch, Methods).

    The prompt ends after the docstring of `f_v{k}`, so that a base model continues it with the body.

    Args:
        specification: the problem's specification.
        functions: the functions to show, worst first.
        notes: notes on each function, shown as a comment above it unless empty; or an empty sequence.
    """
    parts = [specification.preface] if specification.preface else []
    for version, function in enumerate((*functions, Function(body=""))):
        source = specification.function_source(function, *_heading(specification.name, version))
        parts.append(_comment(notes[version]) + source if version < len(notes) else source)
    return "\n\n".join(parts)


def _comment(notes: str) -> str:
    """Returns notes as comment lines."""
    shown = notes if len(notes) <= MAX_NOTES else notes[:MAX_NOTES] + " ..."
    return "".join(f"# {line}\n" for line in shown.splitlines() if line.strip())


def _heading(name: str, version: int) -> tuple[str, str | None]:
    """Returns the name and docstring of a version. Version 0 has the specification's docstring."""
    docstring = f"Improved version of `{versioned(name, version - 1)}`." if version else None
    return versioned(name, version), docstring
