"""Finds and loads problems: shipped ones, installed ones, and files.

Knows about files and entry points, but not about Ray, databases or models. A problem is passed around as its texts
(`ProblemSource`), so that it can be stored with a run and loaded on any machine.
"""

import ast
import difflib
import importlib.metadata
import importlib.resources
import importlib.util
import inspect
import linecache
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.declarations import check_declarations
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import Sandbox
from funsearch.core.problem import Candidate, Inputs, ProblemEvaluator
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Limits
from funsearch.core.specification import Specification
from funsearch.errors import ProblemError

ENTRY_POINTS = "funsearch.problems"
"""Group of entry points by which a package declares problems: NAME = "package.problems.name", a module.

The evaluator is found as for any other problem file, for example in `package/evaluators/name.py`."""


@dataclass(frozen=True, slots=True)
class InputText:
    """An input given by the user, as text: a Python literal, or the content of a file."""

    name: str
    text: str
    from_file: bool


@dataclass(frozen=True, slots=True)
class ProblemSource:
    """A problem as plain text: specification, evaluator and inputs."""

    name: str
    specification: str
    evaluator: str
    """Empty if the specification has its own `evaluate` (the reference's one-file format)."""
    inputs: tuple[InputText, ...] = ()
    """Inputs that replace those of the problem; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A loaded problem, ready to run."""

    name: str
    source: ProblemSource
    specification: Specification
    evaluator: ProblemEvaluator
    inputs: Inputs
    """The inputs given by the user, or else those of the problem."""
    heldout: Inputs

    @property
    def all_inputs(self) -> Inputs:
        """The inputs and held-out inputs, on any of which a program can be shown. Inputs take precedence."""
        return {**self.inputs, **{name: value for name, value in self.heldout.items() if name not in self.inputs}}

    def scorer(self, sandbox: Sandbox, *, inputs: Inputs | None = None, limits: Limits | None = None) -> Evaluator:
        """Returns an evaluator that scores functions on the problem.

        Args:
            sandbox: the sandbox to run candidates in; it is closed with the evaluator.
            inputs: the inputs to score on; by default, those of the problem.
            limits: limits of a candidate; by default, those of the problem.
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
    """Summary of a problem, one line of `funsearch problems`."""

    name: str
    title: str
    origin: str
    """The distribution that provides it."""
    path: str


class ReferenceEvaluator(ProblemEvaluator):
    """Runs the `evaluate` of a one-file problem on the trusted side; only the evolved function runs in the sandbox.

    The format is that of the FunSearch reference code: `@funsearch.run` on `evaluate`, `@funsearch.evolve` on the
    function. The file may define INPUTS and HELDOUT, dicts of inputs by name.
    """

    def __init__(self, specification: Specification, filename: str) -> None:
        assert specification.entry is not None
        if specification.entry_parameters < 1:
            raise ProblemError(f"{filename}: {specification.entry} takes no input: add a parameter for the input.")
        self._specification = specification
        self._entry = specification.entry
        self._filename = filename
        module = vars(self._module())
        self._inputs: Inputs = module.get("INPUTS", {})
        self._heldout: Inputs = module.get("HELDOUT", {})

    @property
    def inputs(self) -> Inputs:  # type: ignore[override]
        return self._inputs

    @property
    def heldout(self) -> Inputs:  # type: ignore[override]
        return self._heldout

    def evaluate(self, candidate: Candidate, value: object) -> float:
        """Returns the score from the file's `evaluate`; a sequence is unpacked if it requires several arguments.

        The file is executed again for each call, so that no state of one candidate can affect another.
        """
        module = self._module()
        setattr(module, self._specification.name, getattr(candidate, self._specification.name))
        several = self._specification.entry_parameters > 1
        arguments = value if several and isinstance(value, tuple | list) else (value,)
        score: float = getattr(module, self._entry)(*arguments)
        return score

    def check_input(self, value: object) -> object:
        """Returns the value; refuses a value that cannot be unpacked to the arguments of `evaluate`."""
        required = self._specification.entry_parameters
        if required > 1 and not (isinstance(value, tuple | list) and len(value) >= required):
            raise ValueError(f"{self._entry} takes {required} arguments: give a tuple of them, not {value!r:.80}")
        return value

    def _module(self) -> types.ModuleType:
        return _execute(self._specification.trusted(), self._filename)


def find_problem(name: str, evaluator: Path | None = None, inputs: Sequence[str] = ()) -> ProblemSource:
    """Finds a problem and returns it as text, without executing it.

    Args:
        name: the name of a problem in `list_problems`, or the path of a specification.
        evaluator: the file of the evaluator, unless it is `../evaluators/NAME.py` or `NAME_evaluator.py`, relative to
            the folder of the specification.
        inputs: inputs as `NAME=VALUE`, where the value is a Python literal or @FILE; they replace the problem's inputs.

    Raises:
        ProblemError: there is no such problem or file, or an input has another form.
    """
    texts = tuple(_input_text(text) for text in inputs)
    repeated = {text.name for text in texts if sum(other.name == text.name for other in texts) > 1}
    if repeated:
        raise ProblemError(f"--input {min(repeated)} is given more than once: give each input a different name.")
    if name.endswith(".py") or "/" in name or "\\" in name:
        return _from_file(Path(name).stem, Path(name), evaluator, texts)
    problems = list_problems()
    matches = [info for info in problems if info.name == name]
    if len(matches) == 1:
        return _from_file(name, Path(matches[0].path), evaluator, texts)
    if matches:
        paths = " or ".join(f"{info.path} (from {info.origin})" for info in matches)
        raise ProblemError(f"Several problems are called {name}: give the path of one, {paths}.")
    raise ProblemError(f"There is no problem called {name}: {_remedy(name, [info.name for info in problems])}")


def load(source: ProblemSource) -> Problem:
    """Loads a problem from its texts; executes its evaluator.

    Raises:
        ProblemError: the specification, the evaluator or an input is invalid.
    """
    specification = Specification.parse(source.specification, f"{source.name}.py")
    if source.evaluator:
        evaluator = _evaluator(source)
    elif specification.entry is not None:
        evaluator = ReferenceEvaluator(specification, f"{source.name}.py")
    else:
        raise ProblemError(
            f"{source.name} has no evaluator: put it in ../evaluators/{source.name}.py or {source.name}_evaluator.py, "
            "relative to the folder of the problem file, or name its file with --evaluator; or decorate a function "
            "`evaluate` in the problem file with @funsearch.run."
        )
    check_declarations(evaluator, source.name)
    inputs = {text.name: _value(text, evaluator) for text in source.inputs} or dict(evaluator.inputs)
    if not inputs:
        where = "`inputs` in its evaluator" if source.evaluator else f"INPUTS = {{...}} in {source.name}.py"
        raise ProblemError(f"{source.name} has no inputs: give some with --input NAME=VALUE, or set {where}.")
    return Problem(
        name=source.name,
        source=source,
        specification=specification,
        evaluator=evaluator,
        inputs=inputs,
        heldout=dict(evaluator.heldout),
    )


def load_problem(
    name: str | Path, evaluator: str | Path | None = None, inputs: Sequence[str] | Mapping[str, object] = ()
) -> Problem:
    """Finds and loads the problem with a name or path.

    Args:
        name: a name from `funsearch problems`, or the path of a problem file.
        evaluator: the evaluator's file, if it is not where it is looked for. See `find_problem`.
        inputs: replace the problem's own: plain Python data by name, or "NAME=VALUE" as on the command line.

    Raises:
        ProblemError: there is no such problem, or an argument, a file or an input is invalid.
    """
    if not isinstance(name, str | Path):
        raise ProblemError(f"name = {name!r:.80}: give the name of a problem, or the path of a problem file.")
    if not isinstance(evaluator, str | Path | None):
        raise ProblemError(f"evaluator = {evaluator!r:.80}: give the path of the evaluator's file.")
    if isinstance(inputs, Mapping):
        inputs = [f"{key}={value!r}" for key, value in inputs.items()]
    if isinstance(inputs, str) or not all(isinstance(text, str) for text in inputs):
        raise ProblemError(f"inputs = {inputs!r:.80}: give a dict, as {{'n8': 8}}, or a list, as ['n8=8'].")
    return load(find_problem(str(name), Path(evaluator) if evaluator else None, inputs))


def list_problems() -> list[ProblemInfo]:
    """Returns the problems shipped with funsearch, then those of installed packages."""
    return shipped() + _installed()


def shipped() -> list[ProblemInfo]:
    """Returns the problems shipped with funsearch."""
    folder = Path(str(importlib.resources.files("funsearch.problems")))
    paths = sorted(folder.glob("[!_]*.py"))
    return [ProblemInfo(path.stem, _title(path), "funsearch", str(path)) for path in paths]


def _installed() -> list[ProblemInfo]:
    problems = []
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            module = importlib.util.find_spec(point.module)
        # Finding a module executes its parent packages; a broken package must not hide the other problems.
        except Exception:
            module = None
        path = Path(module.origin if module and module.origin else f"{point.module.replace('.', '/')}.py")
        origin = point.dist.name if point.dist else point.module
        problems.append(ProblemInfo(point.name, _title(path), origin, str(path)))
    return sorted(problems, key=lambda info: (info.name, info.origin))


def _remedy(name: str, problems: Sequence[str]) -> str:
    for path in (Path(f"{name}.py"), Path("problems") / f"{name}.py"):
        if path.is_file():
            return f"to use the file, give its path, {path}."
    matches = difflib.get_close_matches(name, problems, n=1)
    return f"did you mean {matches[0]}?" if matches else "see `funsearch problems`, or give the path of a .py file."


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
        raise ProblemError(f"{path} is not a problem: use a name from `funsearch problems` or the path of a .py file.")
    text = _read(path, "problem file")
    specification = Specification.parse(text, str(path))
    if evaluator is None:
        evaluator = _evaluator_beside(path)
        if evaluator and specification.entry:
            raise ProblemError(
                f"{path} marks {specification.entry} with @funsearch.run, but the evaluator {evaluator} exists as "
                "well: remove one of them, or choose the evaluator with --evaluator."
            )
    return ProblemSource(name, text, _read(evaluator, "evaluator") if evaluator else "", inputs)


def _evaluator_beside(path: Path) -> Path | None:
    folder = path.absolute().parent  # The parent of a relative path may be ".", which has no parent.
    files = [folder.parent / "evaluators" / path.name, folder / f"{path.stem}_evaluator.py"]
    return next((file for file in files if file.is_file() and file != path.absolute()), None)


def _input_text(option: str) -> InputText:
    name, equals, text = (part.strip() for part in option.partition("="))
    if not equals or not name or not text:
        raise ProblemError(f"--input {option:.200}: write NAME=VALUE, as in --input n=8 or --input OR1=@binpack1.txt.")
    if text.startswith("@"):
        return InputText(name, _read(Path(text[1:]), f"file of the input {name},"), True)
    return InputText(name, text, False)


def _value(source: InputText, evaluator: ProblemEvaluator) -> object:
    option = f"--input {source.name}=@..." if source.from_file else f"--input {source.name}={source.text:.80}"
    try:
        value = evaluator.read_input(source.text) if source.from_file else _literal(source.text)
        return evaluator.check_input(value)
    except ValueError as error:
        raise ProblemError(f"{option}: {error}.") from error
    # The problem's own code may fail in any way on the content of a file.
    except Exception as error:
        raise ProblemError(f"{option} cannot be read: {type(error).__name__}: {error}.") from error


def _literal(text: str) -> object:
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("not a Python literal; quote a string, or pass a file as @FILE") from None
    return value


def _execute(text: str, filename: str) -> types.ModuleType:
    """Executes trusted source text and returns the module; tracebacks show its lines.

    The module has no `__file__`, because the text may come from the database or another machine.
    """
    module = types.ModuleType(f"funsearch_problem_{filename.removesuffix('.py').replace('/', '_')}")
    # The import of the package has been removed from the trusted part of a one-file problem.
    vars(module)["funsearch"] = sys.modules["funsearch"]
    sys.modules[module.__name__] = module  # Needed by dataclasses and typing.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    try:
        exec(compile(text, filename, "exec", dont_inherit=True), vars(module))
    except SyntaxError as error:
        raise ProblemError(f"{filename}:{error.lineno or 1}: {error.msg}.") from error
    # A user's file may raise any exception, or exit.
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
    """Returns an instance of the single evaluator class in a text; imported and abstract classes do not count."""
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
        raise ProblemError(f"{filename}: {names} has no method `evaluate(self, candidate, value)`: define it.")
    if len(classes) != 1:
        count = " and ".join(value.__name__ for value in classes) or "no class"
        raise ProblemError(
            f"{filename} has {count} derived from funsearch.ProblemEvaluator: define exactly one. See `funsearch init`."
        )
    try:
        return classes[0]()
    # The constructor is the user's code as well.
    except Exception as error:
        raise ProblemError(f"{filename}: {classes[0].__name__}() raised {type(error).__name__}: {error}.") from error
