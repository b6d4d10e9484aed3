"""The best-shot prompt: programs of rising score, and the header of the one that the model is to write.

Knows nothing about which programs are shown, or how a model reads them.
"""

from collections.abc import Sequence

from funsearch.core.code.naming import versioned
from funsearch.core.records import Function
from funsearch.core.specification import Specification

MOST_NOTES = 400
"""Characters of a program's notes that a prompt shows: they are paid for in every prompt."""


def best_shot_prompt(specification: Specification, functions: Sequence[Function], notes: Sequence[str] = ()) -> str:
    """Returns the prompt that shows `functions` as `f_v0` to `f_v{k-1}` and asks for `f_v{k}` (FunSearch, Methods).

    It ends below the docstring of `f_v{k}`, where a base model goes on with the body.

    Args:
        specification: of the problem.
        functions: the worst first.
        notes: what there is to say of each, which stands above it as a comment if it is not empty; or nothing at all.
    """
    parts = [specification.preface] if specification.preface else []
    for version, function in enumerate((*functions, Function(body=""))):
        source = specification.function_source(function, *_heading(specification.name, version))
        parts.append(_comment(notes[version]) + source if version < len(notes) else source)
    return "\n\n".join(parts)


def _comment(notes: str) -> str:
    """Returns notes as comment lines."""
    shown = notes if len(notes) <= MOST_NOTES else notes[:MOST_NOTES] + " ..."
    return "".join(f"# {line}\n" for line in shown.splitlines() if line.strip())


def _heading(name: str, version: int) -> tuple[str, str | None]:
    """Returns the name and the docstring of a version; the first one keeps the specification's docstring."""
    docstring = f"Improved version of `{versioned(name, version - 1)}`." if version else None
    return versioned(name, version), docstring
