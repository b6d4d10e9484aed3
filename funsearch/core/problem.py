"""What a problem's author writes against: `ProblemEvaluator`, `Candidate` and the exceptions between them.

Knows nothing about how a candidate is confined or how its function came to be.
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


class InvalidSolution(Exception):
    """Raised by a problem evaluator when what a candidate returned is no solution: INVALID_SOLUTION."""


@dataclass(frozen=True, slots=True)
class Result:
    """A score with what there is to say about it: what `ProblemEvaluator.evaluate` may return in place of a number."""

    score: float
    notes: str = ""
    """A few words on how the program did; prompts show them if the problem sets `show_notes`."""
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    """Small plain data by name, to be stored and shown: JSON's types, tuples and numeric arrays (kept as lists)."""


class CandidateFunction:
    """One function of a confined program."""

    def __init__(self, process: CandidateProcess, name: str) -> None:
        self._process = process
        self._name = name

    def __call__(self, *args: Any) -> Any:
        """Returns what it returns for the arguments."""
        return self._process.call(self._name, args)

    def map(self, *arguments: Iterable[Any]) -> list[Any]:
        """Returns what it returns for the first of each of the arguments, the second of each, and so on.

        As `list(map(f, *arguments))`, and much quicker than calling it as often. It sees all of them at once, so it is
        not for calls that must not know of later ones; but simulations that know nothing of each other can be played
        side by side, a step of all of them at a time.

        Raises:
            ValueError: the arguments are not of one length.
        """
        columns = [list(argument) for argument in arguments]
        lengths = set(map(len, columns))
        if len(lengths) != 1:
            raise ValueError(f"{self._name}.map takes arguments of one length, not of {sorted(lengths)}")
        return self._process.call_many(self._name, columns)


class Candidate:
    """A handle on a confined program: `candidate.f(*args)` calls its function `f` with plain data.

    Values cross as None, bool, int, float, str, bytes, list, tuple, dict and numeric numpy arrays, both ways.
    """

    def __init__(self, process: CandidateProcess) -> None:
        self._process = process

    def __getattr__(self, name: str) -> CandidateFunction:
        """Returns function `name` of the candidate, to be called in its process."""
        if name.startswith("_"):
            raise AttributeError(name)
        function = CandidateFunction(self._process, name)
        setattr(self, name, function)
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
    thresholds: ClassVar[Mapping[str, float]] = {}
    """The score, by input, that a program must reach there to be evaluated on the inputs that follow. A program below
    one is BELOW_THRESHOLD: stored, and never shown to the model. Cheap inputs go first."""
    show_notes: ClassVar[bool] = False
    """Whether prompts show the notes of a `Result` above the program that they are about."""
    limits: ClassVar[Limits] = Limits()

    @abstractmethod
    def evaluate(self, candidate: Candidate, value: Any) -> float | Result:
        """Returns the score of `candidate` on one input's value, alone or in a `Result`; larger is better.

        Raises:
            InvalidSolution: what the candidate returned is not a solution.
        """

    def draw(self, candidate: Candidate, value: Any) -> "Figure":
        """Returns a picture of what `candidate` builds for one input's value, after checking it as `evaluate` does.

        Optional: a problem whose class has no `draw` of its own has no pictures. Import matplotlib in the method, as
        it is not everywhere where programs are scored, and make a `matplotlib.figure.Figure`: pyplot is not needed.

        Raises:
            InvalidSolution: what the candidate returned is not a solution.
        """
        raise NotImplementedError

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
