"""funsearch: language models that discover programs. Importing it loads neither Ray, vLLM, torch nor SQLAlchemy."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from funsearch._version import __version__
from funsearch.core.ports import CandidateFailure
from funsearch.core.problem import Candidate, InvalidSolution, ProblemEvaluator, Result
from funsearch.core.records import Limits

if TYPE_CHECKING:
    from funsearch.loading import load_problem
    from funsearch.search.recorded import Run
    from funsearch.search.search import Search

_F = TypeVar("_F", bound=Callable[..., object])
_LATER = {
    "Run": "funsearch.search.recorded",
    "Search": "funsearch.search.search",
    "load_problem": "funsearch.loading",
}
"""What is imported when it is first asked for, because it loads more than Python and numpy."""


@overload
def evolve(function: _F) -> _F: ...
@overload
def evolve() -> Callable[[_F], _F]: ...
def evolve(function: Any = None) -> Any:
    """Marks the function of a specification that the model rewrites."""
    return _unchanged if function is None else function


@overload
def run(function: _F) -> _F: ...
@overload
def run() -> Callable[[_F], _F]: ...
def run(function: Any = None) -> Any:
    """Marks the `evaluate` of a specification in the reference's one-file format."""
    return _unchanged if function is None else function


def _unchanged(function: _F) -> _F:
    return function


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'funsearch' has no attribute {name!r}")


__all__ = [
    "Candidate",
    "CandidateFailure",
    "InvalidSolution",
    "Limits",
    "ProblemEvaluator",
    "Result",
    "Run",
    "Search",
    "__version__",
    "evolve",
    "load_problem",
    "run",
]
