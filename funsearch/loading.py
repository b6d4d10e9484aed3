"""Finds and loads problems: shipped ones, installed ones, and files.

Knows files and entry points, nothing of Ray, databases or models. A problem travels as its texts (`ProblemSource`),
so that it can be stored with a run and loaded on any machine.
"""

import ast
import difflib
import importlib.metadata
import importlib.resources
import importlib.util
import linecache
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funsearch.core.problem import Candidate, ProblemEvaluator
from funsearch.core.specification import Specification
from funsearch.errors import ProblemError

ENTRY_POINTS = "funsearch.problems"
"""Group of the entry points by which a package declares problems: NAME = "module", the specification's module.

The evaluator is the module of the same name in a sibling package or module called `evaluators`."""


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
    heldout: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProblemInfo:
    """One line of `funsearch problems`."""

    name: str
    title: str
    origin: str
    path: str


class ReferenceEvaluator(ProblemEvaluator):
    """Runs the `evaluate` of a one-file problem on the trusted side; only the evolved function is called across.

    The format is that of the FunSearch reference code: `@funsearch.run` on `evaluate`, `@funsearch.evolve` on the
    function. The file may set INPUTS and HELDOUT.
    """

    def __init__(self, specification: Specification, filename: str) -> None:
        module = _execute(specification.trusted(), filename)
        self._globals = module.__dict__
        self._specification = specification
        self._inputs = self._named("INPUTS", filename)
        self._heldout = self._named("HELDOUT", filename)

    @property
    def inputs(self) -> Mapping[str, Any]:  # type: ignore[override]
        return self._inputs

    @property
    def heldout(self) -> Mapping[str, Any]:  # type: ignore[override]
        return self._heldout

    def evaluate(self, candidate: Candidate, value: Any) -> float:
        """Returns what the file's `evaluate` returns; a tuple is spread when it takes several parameters."""
        entry = self._specification.entry
        assert entry is not None
        self._globals[self._specification.name] = getattr(candidate, self._specification.name)
        spread = self._specification.entry_parameters > 1 and isinstance(value, tuple)
        score: float = self._globals[entry](*value) if spread else self._globals[entry](value)
        return score

    def _named(self, name: str, filename: str) -> Mapping[str, Any]:
        value = self._globals.get(name, {})
        if not isinstance(value, Mapping):
            raise ProblemError(f"{name} in {filename} is {value!r:.80}: make it a dict of named inputs.")
        return value


def find_problem(name: str, evaluator: Path | None = None, inputs: Sequence[str] = ()) -> ProblemSource:
    """Returns the texts of a problem, given by name or by the path of its specification.

    Raises:
        ProblemError: there is no such problem or file, or an input is not NAME=VALUE.
    """
    texts = tuple(_input_text(text) for text in inputs)
    if name.endswith(".py") or "/" in name or "\\" in name:
        return _from_file(Path(name), evaluator, texts)
    known = {info.name: info for info in list_problems()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see `funsearch problems`, or give the path of a .py file."
        raise ProblemError(f"There is no problem called {name}: {hint}")
    return _from_file(Path(known[name].path), evaluator, texts)


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
            f"{source.name} has no evaluator: put it in ../evaluators/{source.name}.py beside the problem's folder, "
            "name it with --evaluator, or decorate an `evaluate` in the same file with @funsearch.run."
        )
    own = {text.name: _value(text, evaluator) for text in source.inputs}
    chosen = own or dict(evaluator.inputs)
    if not chosen:
        raise ProblemError(f"{source.name} has no inputs: give some with --input NAME=VALUE, or set `inputs`.")
    return Problem(source.name, source, specification, evaluator, chosen, dict(evaluator.heldout))


def load_problem(name: str, evaluator: Path | None = None, inputs: Sequence[str] = ()) -> Problem:
    """Returns the problem of a name or path, ready to be run. See `find_problem` and `load`."""
    return load(find_problem(name, evaluator, inputs))


def list_problems() -> list[ProblemInfo]:
    """Returns the problems that are shipped and installed, by name."""
    found = {}
    folder = Path(str(importlib.resources.files("funsearch.problems")))
    for path in sorted(folder.glob("[!_]*.py")):
        found[path.stem] = ProblemInfo(path.stem, _title(path), "funsearch", str(path))
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        spec = importlib.util.find_spec(point.value)
        if spec is not None and spec.origin:
            origin = point.dist.name if point.dist else point.value
            found[point.name] = ProblemInfo(point.name, _title(Path(spec.origin)), origin, spec.origin)
    return list(found.values())


def _title(path: Path) -> str:
    try:
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return "(cannot be read)"
    return (doc or "").split("\n", 1)[0]


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProblemError(f"There is no {what} {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(f"Cannot read the {what} {path}: {error}.") from None


def _from_file(path: Path, evaluator: Path | None, inputs: tuple[InputText, ...]) -> ProblemSource:
    if path.suffix != ".py":
        raise ProblemError(f"{path} is no problem: give a name from `funsearch problems` or the path of a .py file.")
    specification = _read(path, "problem file")
    beside = [path.parent.parent / "evaluators" / path.name, path.with_name(f"{path.stem}_evaluator.py")]
    if evaluator is None:
        evaluator = next((file for file in beside if file.is_file() and file != path), None)
    text = _read(evaluator, "evaluator") if evaluator else ""
    return ProblemSource(path.stem, specification, text, inputs)


def _input_text(given: str) -> InputText:
    name, equals, text = given.partition("=")
    if not equals or not name.strip() or not text.strip():
        raise ProblemError(f"--input {given}: write NAME=VALUE, as in --input n=8 or --input OR1=@binpack1.txt.")
    if text.startswith("@"):
        return InputText(name.strip(), _read(Path(text[1:]), f"file of the input {name.strip()},"), True)
    return InputText(name.strip(), text, False)


def _value(given: InputText, evaluator: ProblemEvaluator) -> Any:
    if given.from_file:
        try:
            return evaluator.read_input(given.text)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise ProblemError(f"The file of the input {given.name} cannot be read: {error}.") from None
    try:
        return ast.literal_eval(given.text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ProblemError(
            f"--input {given.name}={given.text}: {given.text} is no Python literal; quote a string, "
            "or hand over a file as @FILE."
        ) from None


def _execute(text: str, filename: str) -> types.ModuleType:
    """Returns a module made by executing trusted text, with tracebacks that show its lines."""
    module = types.ModuleType(f"funsearch_problem_{filename.removesuffix('.py').replace('/', '_')}")
    module.__file__ = filename
    sys.modules[module.__name__] = module  # dataclasses and typing look their module up there
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    try:
        exec(compile(text, filename, "exec"), module.__dict__)
    # A file of the user's may raise anything at all.
    except Exception as error:
        raise ProblemError(f"{filename}:{_line(error, filename)} raised {type(error).__name__}: {error}.") from error
    return module


def _line(error: BaseException, filename: str) -> int:
    if isinstance(error, SyntaxError):
        return error.lineno or 0
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _evaluator(source: ProblemSource) -> ProblemEvaluator:
    filename = f"evaluators/{source.name}.py"
    module = _execute(source.evaluator, filename)
    classes: list[Callable[[], ProblemEvaluator]] = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, ProblemEvaluator)
        and value is not ProblemEvaluator
        and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        count = "no class" if not classes else f"{len(classes)} classes"
        raise ProblemError(f"{filename} has {count} derived from funsearch.ProblemEvaluator: it needs exactly one.")
    try:
        return classes[0]()
    except TypeError as error:
        raise ProblemError(f"{filename}: {error}. Define `evaluate(self, candidate, value)`.") from None
