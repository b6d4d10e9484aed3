"""A problem written as one class, in a notebook cell or in a script: `@funsearch.problem`.

The class is taken apart into the texts of a problem file and an evaluator file, so that its problem can be recorded
with a run and loaded anywhere, and so that the evaluator never shares a process with a candidate.
"""

import ast
import importlib
import inspect
import linecache
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType

from funsearch.core.problem import ProblemEvaluator
from funsearch.errors import ProblemError
from funsearch.loading import Problem, ProblemSource, load

Values = Mapping[str, object]
_BUILTIN = set(dir(__import__("builtins")))


def problem(
    *,
    evolve: str,
    inputs: Values | None = None,
    heldout: Values | None = None,
    name: str | None = None,
) -> Callable[[type], Problem]:
    """Returns a decorator that makes a problem of a class.

    Methods with `self` belong to the evaluator, among them `evaluate(self, candidate, value)`; a model never sees them.
    Functions without `self` are the skeleton that a candidate runs, among them the function to evolve, and call each
    other by their plain names. Attributes such as `reduction` or `limits` are those of `funsearch.ProblemEvaluator`.

    Example:
        @funsearch.problem(inputs={"three": 3.0}, evolve="guess")
        class Closeness:
            "Finds a number close to the input."

            def guess(x):
                "Returns a guess for x."
                return 0.0

            def evaluate(self, candidate, value):
                return -abs(candidate.guess(value) - value)

    Args:
        evolve: name of the function to evolve.
        inputs: what to score programs on, by name: plain Python literals.
        heldout: inputs that the search never sees.
        name: of the problem; by default, the class's name in lower case with underscores.

    Raises:
        ProblemError: the class cannot be made a problem; says what is missing.
    """
    if not isinstance(evolve, str) or not evolve.isidentifier():
        raise ProblemError(f"evolve = {evolve!r:.80}: give the name of the function to evolve.")
    for title, values in (("inputs", inputs), ("heldout", heldout)):
        _check_literals(title, values)

    def make(cls: type) -> Problem:
        if not isinstance(cls, type):
            raise ProblemError(f"@funsearch.problem decorates a class, not {cls!r:.80}.")
        parts = _take_apart(cls, evolve)
        declared = {"inputs": inputs, "heldout": heldout}
        source = ProblemSource(
            name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower(),
            parts.specification(evolve),
            parts.evaluator({title: values for title, values in declared.items() if values is not None}),
        )
        return load(source)

    return make


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A class taken apart, as source text at column 0."""

    name: str
    title: str
    skeleton: Mapping[str, str]
    """The functions without `self`, by name."""
    skeleton_imports: tuple[str, ...]
    methods: tuple[str, ...]
    attributes: tuple[str, ...]
    evaluator_imports: tuple[str, ...]

    def specification(self, evolve: str) -> str:
        """Returns the text of the problem file."""
        functions = [f"@funsearch.evolve\n{text}" if name == evolve else text for name, text in self.skeleton.items()]
        head = "\n".join(["import funsearch", *self.skeleton_imports])
        return "\n\n\n".join([f'"""{self.title}"""\n\n{head}', *functions]) + "\n"

    def evaluator(self, declared: Mapping[str, Values]) -> str:
        """Returns the text of the evaluator file."""
        head = "\n".join(["import funsearch", *self.evaluator_imports])
        values = [f"{title} = {dict(values)!r}" for title, values in declared.items()]
        body = textwrap.indent("\n\n".join(["\n".join([*values, *self.attributes]), *self.methods]), "    ")
        return f'"""{self.title}"""\n\n{head}\n\n\nclass {self.name}(funsearch.ProblemEvaluator):\n{body}\n'


def _take_apart(cls: type, evolve: str) -> _Parts:
    lines, node = _source(cls)
    functions = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    methods = [item for item in functions if _first_parameter(item) == "self"]
    skeleton = [item for item in functions if item not in methods]
    attributes = [item for item in node.body if isinstance(item, ast.Assign | ast.AnnAssign)]
    known = {item.name: item for item in skeleton}
    if evolve not in known:
        names = ", ".join(known) or "none"
        raise ProblemError(
            f"{cls.__name__} has no function {evolve} to evolve: define it in the class, without `self`. It "
            f"has {names}."
        )
    if not any(item.name == "evaluate" for item in methods):
        raise ProblemError(f"{cls.__name__} has no `evaluate(self, candidate, value)`: define it in the class.")
    own = {*known, cls.__name__, *vars(ProblemEvaluator)}
    values = _namespace(cls)
    return _Parts(
        name=cls.__name__,
        title=(ast.get_docstring(node) or cls.__name__).replace('"""', "'''"),
        skeleton={item.name: _text(lines, item, drop="staticmethod") for item in skeleton},
        skeleton_imports=tuple(_imports(skeleton, own, values, cls.__name__)),
        methods=tuple(_text(lines, item) for item in methods),
        attributes=tuple(_text(lines, item) for item in attributes),
        evaluator_imports=tuple(_imports([*methods, *attributes], own - {*known}, values, cls.__name__)),
    )


def _source(cls: type) -> tuple[list[str], ast.ClassDef]:
    """Returns the lines of the file or notebook cell that defines a class, and its syntax tree.

    Raises:
        ProblemError: there is no source, as in an interactive interpreter.
    """
    for function in filter(inspect.isfunction, map(inspect.unwrap, _functions(cls))):
        lines = linecache.getlines(function.__code__.co_filename, function.__globals__)
        line = function.__code__.co_firstlineno
        for node in ast.walk(ast.parse("".join(lines))):
            if not isinstance(node, ast.ClassDef) or node.name != cls.__name__:
                continue
            if node.lineno <= line <= (node.end_lineno or 0):
                return lines, node
    raise ProblemError(
        f"The source of the class {cls.__name__} cannot be read: define it in a file or in a notebook cell, with "
        "at least one function in it."
    )


def _functions(cls: type) -> list[Callable[..., object]]:
    members = [getattr(value, "__func__", value) for value in vars(cls).values()]
    return [member for member in members if callable(member)]


def _namespace(cls: type) -> Mapping[str, object]:
    """Returns the global names that the functions of a class see."""
    functions = [function for function in _functions(cls) if isinstance(function, FunctionType)]
    return functions[0].__globals__ if functions else {}


def _first_parameter(function: ast.FunctionDef) -> str:
    parameters = [*function.args.posonlyargs, *function.args.args]
    return parameters[0].arg if parameters else ""


def _text(lines: list[str], node: ast.stmt, drop: str = "") -> str:
    """Returns the source of a statement of a class at column 0, without the decorator `drop`."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    first = min([node.lineno, *(item.lineno for item in decorators)])
    text = textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip()
    return re.sub(rf"^@{drop}\n", "", text, flags=re.MULTILINE) if drop else text


def _imports(nodes: Iterable[ast.stmt], own: set[str], values: Mapping[str, object], title: str) -> list[str]:
    """Returns the statements that define the global names that statements use.

    Raises:
        ProblemError: one of them is neither a module, nor imported from one, nor a plain literal.
    """
    statements = []
    for name in sorted(_free_names(nodes) - own - {"funsearch"}):
        if name not in values:
            if name in _BUILTIN:
                continue
            raise ProblemError(f"{title} uses {name}, which is not defined: import it, or define it in the class.")
        statements.append(_definition(name, values[name], title))
    return sorted(statements, key=lambda text: (not text.startswith(("import ", "from ")), text))


def _definition(name: str, value: object, title: str) -> str:
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}"
    module, original = getattr(value, "__module__", None), getattr(value, "__qualname__", name)
    if isinstance(module, str) and module != "__main__" and _importable(module, original, value):
        return f"from {module} import {original}" + (f" as {name}" if original != name else "")
    if _is_literal(value):
        return f"{name} = {value!r}"
    raise ProblemError(
        f"{title} uses {name}, which is defined beside the class: move it into the class, or into a module that is "
        "imported."
    )


def _importable(module: str, name: str, value: object) -> bool:
    if module not in sys.modules or "." in name:
        return False
    found = getattr(importlib.import_module(module), name, None)
    return found is value and getattr(sys.modules[module], "__spec__", None) is not None


def _free_names(nodes: Iterable[ast.stmt]) -> set[str]:
    """Returns the names that statements read and do not bind."""
    read: set[str] = set()
    bound: set[str] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return read - bound


def _check_literals(title: str, values: Values | None) -> None:
    if values is None:
        return
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise ProblemError(f"{title} = {values!r:.80}: give a dict of inputs by name.")
    for name, value in values.items():
        if not _is_literal(value):
            raise ProblemError(
                f"{title}[{name!r}] = {value!r:.80}: give plain Python data (numbers, strings, lists, tuples, dicts), "
                "so that it can be recorded."
            )


def _is_literal(value: object) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError):
        return False
