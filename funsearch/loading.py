"""Finds and loads problems: shipped ones, installed ones, and files.

Knows files and entry points, nothing of Ray, databases or models. A problem travels as its texts (`ProblemSource`),
so that it can be stored with a run and loaded on any machine.
"""

import ast
import difflib
import importlib.metadata
import importlib.resources
import importlib.util
import inspect
import linecache
import math
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import Sandbox
from funsearch.core.problem import Candidate, ProblemEvaluator
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Limits
from funsearch.core.specification import Specification
from funsearch.errors import ProblemError

ENTRY_POINTS = "funsearch.problems"
"""Group of the entry points by which a package declares problems: NAME = "package.problems.name", a module.

Its evaluator is found as that of any other problem file, so in `package/evaluators/name.py`."""


@dataclass(frozen=True, slots=True)
class InputText:
    """An input as the user gave it: a Python literal, or the text of a file."""

    name: str
    text: str
    from_file: bool


@dataclass(frozen=True, slots=True)
class ProblemSource:
    """A problem as plain texts."""

    name: str
    specification: str
    evaluator: str
    """Empty when the specification holds its own `evaluate` (the reference's one-file format)."""
    inputs: tuple[InputText, ...] = ()
    """What replaces the problem's own inputs, if anything."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem ready to be run."""

    name: str
    source: ProblemSource
    specification: Specification
    evaluator: ProblemEvaluator
    inputs: dict[str, Any]
    """The user's inputs, or else the problem's own."""
    heldout: dict[str, Any]

    @property
    def all_inputs(self) -> dict[str, Any]:
        """The inputs and the held-out ones, to show a program on one of them. A name that both have is the inputs'."""
        return self.inputs | {name: value for name, value in self.heldout.items() if name not in self.inputs}

    def scorer(
        self, sandbox: Sandbox, *, inputs: Mapping[str, Any] | None = None, limits: Limits | None = None
    ) -> Evaluator:
        """Returns an evaluator of the problem in a sandbox.

        Args:
            sandbox: closed with the evaluator.
            inputs: what to score on, by name; by default the problem's inputs.
            limits: of a candidate; by default the problem's.
        """
        chosen = self.inputs if inputs is None else inputs
        return Evaluator(self.specification, self.evaluator, sandbox, inputs=chosen, limits=limits)

    def database(self, config: DatabaseConfig | None = None, seed: int = 0) -> ProgramsDatabase:
        """Returns an empty programs database for the problem."""
        return ProgramsDatabase(
            partial(best_shot_prompt, self.specification),
            tuple(self.inputs),
            config,
            seed=seed,
            reduction=self.evaluator.reduction,
            partial=self.evaluator.partial,
            show_notes=self.evaluator.show_notes,
        )


@dataclass(frozen=True, slots=True)
class ProblemInfo:
    """One line of `funsearch problems`."""

    name: str
    title: str
    origin: str
    """The distribution that brings it."""
    path: str


class ReferenceEvaluator(ProblemEvaluator):
    """Runs the `evaluate` of a one-file problem on the trusted side; only the evolved function is called across.

    The format is that of the FunSearch reference code: `@funsearch.run` on `evaluate`, `@funsearch.evolve` on the
    function. The file may set INPUTS and HELDOUT, dicts of inputs by name.
    """

    def __init__(self, specification: Specification, filename: str) -> None:
        assert specification.entry is not None
        if specification.entry_parameters < 1:
            raise ProblemError(f"{filename}: {specification.entry} takes no input: give it a parameter for one.")
        self._specification = specification
        self._entry = specification.entry
        self._filename = filename
        module = vars(self._module())
        self._inputs, self._heldout = module.get("INPUTS", {}), module.get("HELDOUT", {})

    @property
    def inputs(self) -> Mapping[str, Any]:  # type: ignore[override]
        return self._inputs  # type: ignore[no-any-return]

    @property
    def heldout(self) -> Mapping[str, Any]:  # type: ignore[override]
        return self._heldout  # type: ignore[no-any-return]

    def evaluate(self, candidate: Candidate, value: Any) -> float:
        """Returns what the file's `evaluate` returns; a sequence is spread when it requires several arguments.

        The file is executed anew each time, so that nothing it remembers of one candidate can reach another.
        """
        module = self._module()
        setattr(module, self._specification.name, getattr(candidate, self._specification.name))
        spread = self._specification.entry_parameters > 1 and isinstance(value, tuple | list)
        score: float = getattr(module, self._entry)(*(value if spread else (value,)))
        return score

    def check_input(self, value: Any) -> Any:
        """Returns the value; refuses one that cannot be the arguments of `evaluate`."""
        required = self._specification.entry_parameters
        if required > 1 and not (isinstance(value, tuple | list) and len(value) >= required):
            raise ValueError(f"{self._entry} takes {required} arguments: give a tuple of them, not {value!r:.80}")
        return value

    def _module(self) -> types.ModuleType:
        return _execute(self._specification.trusted(), self._filename)


def find_problem(name: str, evaluator: Path | None = None, inputs: Sequence[str] = ()) -> ProblemSource:
    """Returns the texts of a problem.

    Args:
        name: a name that `list_problems` knows, or the path of a specification.
        evaluator: the evaluator's file, if it is neither `../evaluators/NAME.py` nor `NAME_evaluator.py` beside it.
        inputs: `NAME=VALUE` each, with a Python literal or @FILE for the value; they replace the problem's own.

    Raises:
        ProblemError: there is no such problem or file, or an input is not of that form.
    """
    texts = tuple(_input_text(text) for text in inputs)
    twice = {text.name for text in texts if sum(other.name == text.name for other in texts) > 1}
    if twice:
        raise ProblemError(f"--input {min(twice)} is given twice: an input needs a name of its own.")
    if name.endswith(".py") or "/" in name or "\\" in name:
        return _from_file(Path(name).stem, Path(name), evaluator, texts)
    known = list_problems()
    found = [info for info in known if info.name == name]
    if len(found) == 1:
        return _from_file(name, Path(found[0].path), evaluator, texts)
    if found:
        places = " and ".join(f"{info.path} (from {info.origin})" for info in found)
        raise ProblemError(f"Several problems are called {name}: give the path of one, {places}.")
    raise ProblemError(f"There is no problem called {name}: {_remedy(name, [info.name for info in known])}")


def load(source: ProblemSource) -> Problem:
    """Returns a problem ready to be run; executes its evaluator.

    Raises:
        ProblemError: the specification, the evaluator or an input is not usable.
    """
    specification = Specification.parse(source.specification, f"{source.name}.py")
    if source.evaluator:
        evaluator = _evaluator(source)
    elif specification.entry is not None:
        evaluator = ReferenceEvaluator(specification, f"{source.name}.py")
    else:
        raise ProblemError(
            f"{source.name} has no evaluator: put it into ../evaluators/{source.name}.py as seen from the problem "
            f"file, or into {source.name}_evaluator.py beside it, or name it with --evaluator; or decorate an "
            "`evaluate` in the problem file with @funsearch.run."
        )
    _check_declarations(evaluator, source.name)
    inputs = {text.name: _value(text, evaluator) for text in source.inputs} or dict(evaluator.inputs)
    if not inputs:
        where = "`inputs` in its evaluator" if source.evaluator else f"INPUTS = {{...}} in {source.name}.py"
        raise ProblemError(f"{source.name} has no inputs: give some with --input NAME=VALUE, or set {where}.")
    return Problem(source.name, source, specification, evaluator, inputs, dict(evaluator.heldout))


def load_problem(name: str, evaluator: Path | None = None, inputs: Sequence[str] = ()) -> Problem:
    """Returns the problem of a name or path, ready to be run. See `find_problem` and `load`."""
    return load(find_problem(name, evaluator, inputs))


def list_problems() -> list[ProblemInfo]:
    """Returns the problems that are shipped and installed, the shipped ones first."""
    return shipped() + _installed()


def shipped() -> list[ProblemInfo]:
    """Returns the problems that come with funsearch."""
    folder = Path(str(importlib.resources.files("funsearch.problems")))
    paths = sorted(folder.glob("[!_]*.py"))
    return [ProblemInfo(path.stem, _title(path), "funsearch", str(path)) for path in paths]


def _installed() -> list[ProblemInfo]:
    found = []
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            module = importlib.util.find_spec(point.module)
        # Finding a module executes the packages above it; one that is broken must not hide the other problems.
        except Exception:
            module = None
        path = Path(module.origin if module and module.origin else f"{point.module.replace('.', '/')}.py")
        origin = point.dist.name if point.dist else point.module
        found.append(ProblemInfo(point.name, _title(path), origin, str(path)))
    return sorted(found, key=lambda info: (info.name, info.origin))


def _remedy(name: str, known: Sequence[str]) -> str:
    for path in (Path(f"{name}.py"), Path("problems") / f"{name}.py"):
        if path.is_file():
            return f"to use the file, give its path, {path}."
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "see `funsearch problems`, or give the path of a .py file."


def _title(path: Path) -> str:
    try:
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, SyntaxError):
        return "(cannot be read)"
    return (doc or "").partition("\n")[0]


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ProblemError(f"There is no {what} {path}.") from None
    except OSError as error:
        raise ProblemError(f"Cannot read the {what} {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ProblemError(f"Cannot read the {what} {path}: it is not UTF-8 text ({error.reason}).") from error


def _from_file(name: str, path: Path, evaluator: Path | None, inputs: tuple[InputText, ...]) -> ProblemSource:
    if path.suffix != ".py":
        raise ProblemError(f"{path} is no problem: give a name from `funsearch problems` or the path of a .py file.")
    text = _read(path, "problem file")
    specification = Specification.parse(text, str(path))
    if evaluator is None:
        evaluator = _evaluator_beside(path)
        if evaluator and specification.entry:
            raise ProblemError(
                f"{path} marks {specification.entry} with @funsearch.run, and {evaluator} is there as well: "
                "remove one of the two, or decide for the file with --evaluator."
            )
    return ProblemSource(name, text, _read(evaluator, "evaluator") if evaluator else "", inputs)


def _evaluator_beside(path: Path) -> Path | None:
    folder = path.absolute().parent  # A bare file name has no parent's parent of its own.
    places = [folder.parent / "evaluators" / path.name, folder / f"{path.stem}_evaluator.py"]
    return next((place for place in places if place.is_file() and place != path.absolute()), None)


def _input_text(given: str) -> InputText:
    name, equals, text = (part.strip() for part in given.partition("="))
    if not equals or not name or not text:
        raise ProblemError(f"--input {given:.200}: write NAME=VALUE, as in --input n=8 or --input OR1=@binpack1.txt.")
    if text.startswith("@"):
        return InputText(name, _read(Path(text[1:]), f"file of the input {name},"), True)
    return InputText(name, text, False)


def _value(given: InputText, evaluator: ProblemEvaluator) -> Any:
    shown = f"--input {given.name}=@..." if given.from_file else f"--input {given.name}={given.text:.80}"
    try:
        value = evaluator.read_input(given.text) if given.from_file else _literal(given.text)
        return evaluator.check_input(value)
    except ValueError as error:
        raise ProblemError(f"{shown}: {error}.") from error
    # A problem's own reading meets whatever stands in the file.
    except Exception as error:
        raise ProblemError(f"{shown} cannot be read: {type(error).__name__}: {error}.") from error


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("not a Python literal; quote a string, or hand over a file as @FILE") from None


def _execute(text: str, filename: str) -> types.ModuleType:
    """Returns a module made by executing trusted text, with tracebacks that show its lines.

    It has no `__file__`: a text may come from the database, or from another machine.
    """
    module = types.ModuleType(f"funsearch_problem_{filename.removesuffix('.py').replace('/', '_')}")
    # The trusted part of a one-file problem has lost its own import of the package.
    vars(module)["funsearch"] = sys.modules["funsearch"]
    sys.modules[module.__name__] = module  # dataclasses and typing look their module up there
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    try:
        exec(compile(text, filename, "exec", dont_inherit=True), vars(module))
    except SyntaxError as error:
        raise ProblemError(f"{filename}:{error.lineno or 1}: {error.msg}.") from error
    # A file of the user's may raise anything at all, and leave by any door.
    except (Exception, SystemExit) as error:
        raise ProblemError(f"{filename}:{_line(error, filename)} raised {type(error).__name__}: {error}.") from error
    return module


def _line(error: BaseException, filename: str) -> int:
    line, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _evaluator(source: ProblemSource) -> ProblemEvaluator:
    """Returns an instance of the one evaluator class in a text; classes it imports or only derives from don't count."""
    filename = f"evaluators/{source.name}.py"
    module = _execute(source.evaluator, filename)
    own = dict.fromkeys(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ProblemEvaluator) and value.__module__ == module.__name__
    )
    classes = [value for value in own if not inspect.isabstract(value)]
    if own and not classes:
        names = " and ".join(value.__name__ for value in own)
        raise ProblemError(f"{filename}: {names} is no evaluator yet: define `evaluate(self, candidate, value)`.")
    if len(classes) != 1:
        count = " and ".join(value.__name__ for value in classes) or "no class"
        raise ProblemError(
            f"{filename} has {count} derived from funsearch.ProblemEvaluator: it needs exactly one. "
            "See `funsearch init`."
        )
    try:
        return classes[0]()
    # The constructor is the user's as well.
    except Exception as error:
        raise ProblemError(f"{filename}: {classes[0].__name__}() raised {type(error).__name__}: {error}.") from error


def _thresholds(evaluator: ProblemEvaluator, name: str) -> Mapping[Any, Any]:
    value: Any = evaluator.thresholds
    if not isinstance(value, Mapping):
        raise ProblemError(f"`thresholds` of {name} is {value!r:.80}: make it a dict of scores by input.")
    return value


def _check_declarations(evaluator: ProblemEvaluator, name: str) -> None:
    """Refuses class attributes of an evaluator that are of no use."""
    for attribute in ("inputs", "selection", "heldout", "baselines"):
        value = getattr(evaluator, attribute)
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ProblemError(f"`{attribute}` of {name} is {value!r:.80}: make it a dict with names for keys.")
    for attribute, words in {"reduction": ("last", "mean"), "partial": ("reject", "keep")}.items():
        value = getattr(evaluator, attribute)
        if value not in words:
            raise ProblemError(f"`{attribute}` of {name} is {value!r}: make it {' or '.join(map(repr, words))}.")
    for of, least in _thresholds(evaluator, name).items():
        if isinstance(least, bool) or not isinstance(least, int | float) or not math.isfinite(least):
            raise ProblemError(f"`thresholds` of {name} has {least!r:.80} for {of}: make it a number.")
        if of not in list(evaluator.inputs)[:-1]:
            raise ProblemError(
                f"`thresholds` of {name} names {of}, which is no input that others follow: name one of "
                f"{', '.join(list(evaluator.inputs)[:-1]) or 'several inputs'}."
            )
    if not isinstance(evaluator.limits, Limits):
        raise ProblemError(f"`limits` of {name} is {evaluator.limits!r:.80}: make it funsearch.Limits(...).")
