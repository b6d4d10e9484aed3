"""What a problem's author writes against: `ProblemEvaluator`, `Candidate` and the exceptions between them.

Knows nothing about how a candidate is confined or how its function came to be.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from funsearch.core.ports import CandidateProcess
from funsearch.core.records import Limits


class InvalidSolution(Exception):
    """Raised by a problem evaluator when what a candidate returned is no solution: INVALID_SOLUTION."""


class Candidate:
    """A handle on a confined program: `candidate.f(*args)` calls its function `f` with plain data.

    Values cross as None, bool, int, float, str, list, tuple, dict and numeric numpy arrays, both ways.
    """

    def __init__(self, process: CandidateProcess) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Returns a callable that runs function `name` of the candidate in its process."""
        if name.startswith("_"):
            raise AttributeError(name)
        call = self._process.call

        def function(*args: Any) -> Any:
            return call(name, args)

        return function


class ProblemEvaluator(ABC):
    """Inputs and trusted scoring of a problem. Runs in the engine's process; a model never sees it.

    One instance may score many candidates, one after the other; keep no state of a candidate in it.
    """

    inputs: ClassVar[Mapping[str, Any]] = {}
    """What the search scores programs on, by name. The order is the order of the signature."""
    selection: ClassVar[Mapping[str, Any]] = {}
    """What the best programs of a finished search are chosen on, before they are reported; the search never sees it."""
    heldout: ClassVar[Mapping[str, Any]] = {}
    """What the search never sees; the best programs are reported on it."""
    baselines: ClassVar[Mapping[str, str]] = {}
    """Known functions to compare with, by name: source of the evolved function as `funsearch evaluate` takes it."""
    reduction: ClassVar[Literal["last", "mean"]] = "last"
    """How per-input scores become one score: the last input's (as in the reference code), or their mean."""
    partial: ClassVar[Literal["reject", "keep"]] = "reject"
    """What becomes of a program that fails on some inputs: rejected, or kept with the other inputs' scores."""
    limits: ClassVar[Limits] = Limits()

    @abstractmethod
    def evaluate(self, candidate: Candidate, value: Any) -> float:
        """Returns the score of `candidate` on one input's value; larger is better.

        Raises:
            InvalidSolution: what the candidate returned is not a solution.
        """

    def read_input(self, text: str) -> Any:
        """Returns the value of an input given as `NAME=@FILE` from the file's text; JSON unless a problem reads more.

        Raises:
            ValueError: the text is not of a form this problem reads.
        """
        return json.loads(text)

    def check_input(self, value: Any) -> Any:
        """Returns a value that the user gave with `--input`, checked and in the form that `evaluate` takes.

        Literals come here, and what `read_input` returned; the class's own inputs do not. Any value passes unless a
        problem is stricter.

        Raises:
            ValueError: the value is no input of this problem; says what one is.
        """
        return value
