"""funsearch: language models that discover programs. Importing it loads neither Ray, vLLM, torch nor SQLAlchemy."""

from collections.abc import Callable
from typing import TypeVar

from funsearch._version import __version__
from funsearch.core.ports import CandidateFailure
from funsearch.core.problem import Candidate, InvalidSolution, ProblemEvaluator
from funsearch.core.records import Limits

_F = TypeVar("_F", bound=Callable[..., object])


def evolve(function: _F) -> _F:
    """Marks the function of a specification that the model rewrites."""
    return function


def run(function: _F) -> _F:
    """Marks the `evaluate` of a specification in the reference's one-file format."""
    return function


__all__ = [
    "Candidate",
    "CandidateFailure",
    "InvalidSolution",
    "Limits",
    "ProblemEvaluator",
    "__version__",
    "evolve",
    "run",
]
