"""funsearch: language models that discover programs. Importing it loads neither Ray, vLLM, torch nor SQLAlchemy."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, overload

from funsearch._version import __version__
from funsearch.core.completions import Completion, Policy, Request, SamplerStats, Sampling
from funsearch.core.ports import CandidateFailure, Sampler
from funsearch.core.problem import Candidate, InvalidSolution, ProblemEvaluator, Result
from funsearch.core.records import Evaluation, Limits, Prompt, Sample, Status
from funsearch.errors import (
    ConfigError,
    FunsearchError,
    ProblemError,
    SamplerError,
    SamplerExhausted,
    SandboxError,
    StorageError,
    TrainingError,
)

if TYPE_CHECKING:
    from funsearch.cluster.training import Trained, train
    from funsearch.loading import Problem, load_problem
    from funsearch.notebook import problem
    from funsearch.search.progress import Progress
    from funsearch.search.recorded import ProgramView, Run
    from funsearch.search.report import Verification
    from funsearch.search.search import Best, Search

_Function = TypeVar("_Function", bound=Callable[..., object])
_LATER = {
    "Best": "funsearch.search.search",
    "Problem": "funsearch.loading",
    "ProgramView": "funsearch.search.recorded",
    "Progress": "funsearch.search.progress",
    "Run": "funsearch.search.recorded",
    "Search": "funsearch.search.search",
    "Trained": "funsearch.cluster.training",
    "Verification": "funsearch.search.report",
    "load_problem": "funsearch.loading",
    "problem": "funsearch.notebook",
    "train": "funsearch.cluster.training",
}
"""Names that are imported on first use, because they load more than Python and numpy."""


@overload
def evolve(function: _Function) -> _Function: ...
@overload
def evolve() -> Callable[[_Function], _Function]: ...
def evolve(function: _Function | None = None) -> _Function | Callable[[_Function], _Function]:
    """Marks the function of a specification that the model rewrites."""
    return _marked("evolve", function)


@overload
def run(function: _Function) -> _Function: ...
@overload
def run() -> Callable[[_Function], _Function]: ...
def run(function: _Function | None = None) -> _Function | Callable[[_Function], _Function]:
    """Marks the `evaluate` of a specification in the one-file format of the FunSearch reference code."""
    return _marked("run", function)


def _marked(mark: str, function: _Function | None) -> _Function | Callable[[_Function], _Function]:
    """Returns a marked function as it is: the marks are read from the text of the file.

    Raises:
        ProblemError: it is not a function.
    """
    if function is None:
        return lambda function: function
    if not callable(function):
        raise ProblemError(f"@funsearch.{mark} decorates a function, not {function!r:.80}.")
    return function


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'funsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Best",
    "Candidate",
    "CandidateFailure",
    "Completion",
    "ConfigError",
    "Evaluation",
    "FunsearchError",
    "InvalidSolution",
    "Limits",
    "Policy",
    "Problem",
    "ProblemError",
    "ProblemEvaluator",
    "ProgramView",
    "Progress",
    "Prompt",
    "Request",
    "Result",
    "Run",
    "Sample",
    "Sampler",
    "SamplerError",
    "SamplerExhausted",
    "SamplerStats",
    "Sampling",
    "SandboxError",
    "Search",
    "Status",
    "StorageError",
    "Trained",
    "TrainingError",
    "Verification",
    "__version__",
    "evolve",
    "load_problem",
    "problem",
    "run",
    "train",
]
