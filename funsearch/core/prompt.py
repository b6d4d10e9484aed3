"""The best-shot prompt: programs of rising score, and the header of the one that the model is to write.

Knows nothing about which programs are shown, or how a model reads them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from funsearch.core.naming import versioned
from funsearch.core.records import Function

if TYPE_CHECKING:
    from funsearch.core.specification import Specification


def best_shot_prompt(specification: "Specification", functions: Sequence[Function]) -> str:
    """Returns the prompt that shows `functions` as `f_v0` to `f_v{k-1}` and asks for `f_v{k}` (FunSearch, Methods).

    It ends below the docstring of `f_v{k}`, where a base model goes on with the body.
    """
    parts = [specification.preface] if specification.preface else []
    for version, function in enumerate((*functions, Function(body=""))):
        parts.append(specification.function_source(function, *_heading(specification.name, version)))
    return "\n\n".join(parts)


def _heading(name: str, version: int) -> tuple[str, str | None]:
    """Returns the name and the docstring of a version; the first one keeps the specification's docstring."""
    docstring = f"Improved version of `{versioned(name, version - 1)}`." if version else None
    return versioned(name, version), docstring
