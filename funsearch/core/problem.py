"""The interface for authors of problems: `ProblemEvaluator`, `Candidate`, `Result` and `InvalidSolution`.

Knows nothing about how candidates are confined or how their functions are generated.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from funsearch.core.ports import CandidateProcess
from funsearch.core.records import Limits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Inputs = Mapping[str, Any]
"""Inputs of a problem by name. A value is of any type that the problem's `evaluate` takes."""


class InvalidSolution(Exception):
    """Raised by a problem evaluator when a candidate returned an invalid solution; its status is INVALID_SOLUTION."""


@dataclass(frozen=True, slots=True)
class Result:
    """A score with feedback, which `ProblemEvaluator.evaluate` may return instead of a number."""

    score: float
    notes: str = ""
    """A short text on how the program performed; prompts show it if the problem sets `show_notes`."""
    artifacts: Mapping[str, object] = field(default_factory=dict)
    """Small plain data by name, to be stored and shown: JSON types, and tuples and numeric arrays, stored as lists."""


class CandidateFunction:
    """A function of a confined program, called like a local function."""

    def __init__(self, process: CandidateProcess, name: str) -> None:
        self._process = process
        self._name = name

    def __call__(self, *args: object) -> Any:
        """Calls the function in the candidate's process and returns its result."""
        return self._process.call(self._name, args)

    def map(self, *arguments: Iterable[object]) -> list[Any]:
        """Calls the function once for each tuple of arguments and returns the results, as `list(map(f, *arguments))`.

        Much faster than separate calls. The candidate's process receives all arguments at once, so do not use it where
        a call must not know the arguments of later calls. Independent simulations can run in parallel, with one `map`
        for each step of all of them.

        Raises:
            ValueError: the arguments differ in length.
        """
        columns = [list(argument) for argument in arguments]
        lengths = set(map(len, columns))
        if len(lengths) != 1:
            raise ValueError(f"{self._name}.map takes arguments of the same length, not of lengths {sorted(lengths)}")
        return self._process.call_many(self._name, columns)


class Candidate:
    """A handle on a confined program: `candidate.f(*args)` calls its function `f` with plain data.

    Arguments and results may be None, bool, int, float, str, bytes, list, tuple, dict and numeric numpy arrays.
    """

    def __init__(self, process: CandidateProcess) -> None:
        self._process = process

    def __getattr__(self, name: str) -> CandidateFunction:
        """Returns the function `name` of the candidate; calling it runs it in the candidate's process."""
        if name.startswith("_"):
            raise AttributeError(name)
        function = CandidateFunction(self._process, name)
        setattr(self, name, function)
        return function


class ProblemEvaluator(ABC):
    """Inputs and trusted scoring of a problem. Runs in the engine's process and is never shown to a model.

    One instance may score many candidates in sequence, so it must not keep state about a candidate.
    """

    inputs: ClassVar[Inputs] = {}
    """The inputs that the search scores programs on. Their order is the order of the signature."""
    selection: ClassVar[Inputs] = {}
    """Validation inputs, on which the best programs of a finished search are ranked before they are reported. The
    search does not use them."""
    heldout: ClassVar[Inputs] = {}
    """Held-out inputs, on which the best programs are reported. The search does not use them."""
    baselines: ClassVar[Mapping[str, str]] = {}
    """Known functions to compare with, by name: source of the evolved function, as `funsearch evaluate` takes it."""
    reduction: ClassVar[Literal["last", "mean"]] = "last"
    """How the scores on the inputs become one score: that of the last input (as in the reference code), or the mean."""
    partial: ClassVar[Literal["reject", "keep"]] = "reject"
    """What happens to a program that fails on some inputs: it is rejected, or kept with its scores on the others."""
    thresholds: ClassVar[Mapping[str, float]] = {}
    """Minimum score on an input, by its name, for a program to be evaluated on the inputs that follow. A program below
    a threshold has status BELOW_THRESHOLD: it is stored, but never shown to the model. Put cheap inputs first."""
    show_notes: ClassVar[bool] = False
    """Whether prompts show the notes of a program's `Result` above it."""
    limits: ClassVar[Limits] = Limits()
    """Limits of time, memory and output for each candidate."""

    @abstractmethod
    def evaluate(self, candidate: Candidate, value: Any) -> float | Result:
        """Returns the score of `candidate` on the value of one input, alone or in a `Result`; larger is better.

        Raises:
            InvalidSolution: the candidate returned an invalid solution.
        """

    def draw(self, candidate: Candidate, value: Any) -> "Figure":
        """Returns a picture of the solution that `candidate` builds for one input, validated as in `evaluate`.

        Optional: a problem whose class does not override `draw` has no pictures. Import matplotlib inside the method,
        because it may not be installed where programs are scored, and create a `matplotlib.figure.Figure`; pyplot is
        not needed.

        Raises:
            InvalidSolution: the candidate returned an invalid solution.
        """
        raise NotImplementedError

    def read_input(self, text: str) -> object:
        """Parses the text of an input file, given as `--input NAME=@FILE`. The default format is JSON.

        Override it for other formats.

        Raises:
            ValueError: the text is not in a format that the problem reads.
        """
        value: object = json.loads(text)
        return value

    def check_input(self, value: Any) -> object:
        """Validates an input given with `--input` and returns it in the form that `evaluate` takes.

        The value is a literal or was returned by `read_input`; the inputs of the class are not checked. By default, all
        values are accepted.

        Raises:
            ValueError: the value is not an input of this problem; the message says what is.
        """
        return value
