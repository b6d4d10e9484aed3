"""Splits a problem file into the marked functions, the header of the evolved function, and the fixed skeleton.

Knows nothing about the functions that are spliced into the skeleton.
"""

import __future__

import ast
import io
import textwrap
import tokenize
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from funsearch.core.code.source import defined_names, end, start
from funsearch.errors import ProblemError

_PACKAGE = "funsearch"


@dataclass(frozen=True, slots=True)
class Header:
    """The header of the evolved function, as source text."""

    decorators: str
    """Decorators other than funsearch's, on separate lines; usually empty."""
    signature: str
    """The text after the name: `(el: tuple[int, ...], n: int) -> float:`."""
    docstring: str
    """The lines of the docstring, indented by four spaces; may be empty."""
    keywords: frozenset[str]
    """Names of the parameters that are not positional."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """The fixed part of a problem file, without funsearch's decorators and imports."""

    above: str
    """The code above the evolved function, without the entry function."""
    below: str
    """The code below the evolved function, without the entry function."""
    trusted: str
    """The file without the evolved function, but with the entry function."""
    preface: str
    """The code above the first function; empty or ending in a newline."""
    names: frozenset[str]
    """Names of the functions, classes and constants that it defines."""
    imports: frozenset[str]
    """Its import statements, as `ast.unparse` formats them."""
    flags: int
    """Its `__future__` features, as flags for `compile`."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The names under which a file imports funsearch and its two decorators."""

    package: frozenset[str]
    evolve: frozenset[str]
    run: frozenset[str]

    @classmethod
    def read(cls, nodes: Iterable[ast.AST]) -> "Marks":
        """Reads the names from the imports among the nodes of a file."""
        package, marks = {_PACKAGE}, {"evolve": set[str](), "run": set[str]()}
        for node in nodes:
            if isinstance(node, ast.Import):
                package |= {alias.asname for alias in node.names if alias.name == _PACKAGE and alias.asname}
            elif isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
                for alias in node.names:
                    if alias.name in marks:
                        marks[alias.name].add(alias.asname or alias.name)
        return cls(frozenset(package), frozenset(marks["evolve"]), frozenset(marks["run"]))

    def is_evolve(self, decorator: ast.expr) -> bool:
        """Returns whether a decorator is `@funsearch.evolve`."""
        return self._is(decorator, "evolve", self.evolve)

    def is_run(self, decorator: ast.expr) -> bool:
        """Returns whether a decorator is `@funsearch.run`."""
        return self._is(decorator, "run", self.run)

    def _is(self, decorator: ast.expr, mark: str, names: frozenset[str]) -> bool:
        if isinstance(decorator, ast.Call):
            decorator = decorator.func
        if isinstance(decorator, ast.Attribute) and isinstance(decorator.value, ast.Name):
            return decorator.attr == mark and decorator.value.id in self.package
        return isinstance(decorator, ast.Name) and decorator.id in names


def marked_functions(
    tree: ast.Module, nodes: Sequence[ast.AST], marks: Marks, filename: str
) -> tuple[ast.FunctionDef, ast.FunctionDef | None]:
    """Returns the function to evolve, and the entry function if there is one.

    Raises:
        ProblemError: there is not exactly one function to evolve, there are several entry functions, or something other
            than a top-level function is marked.
    """
    marked: dict[str, list[ast.FunctionDef]] = {"evolve": [], "run": []}
    for node in sorted((node for node in nodes if isinstance(node, _DECORATED)), key=lambda node: node.lineno):
        for decorator in node.decorator_list:
            mark = "evolve" if marks.is_evolve(decorator) else "run" if marks.is_run(decorator) else ""
            if not mark:
                continue
            if not isinstance(node, ast.FunctionDef) or node not in tree.body:
                raise ProblemError(
                    f"{filename}:{node.lineno}: @funsearch.{mark} is on {node.name}, which is {_kind(node)}: "
                    "decorate a plain function at the top level of the file."
                )
            marked[mark].append(node)
    if not marked["evolve"]:
        raise ProblemError(f"No @funsearch.evolve in {filename}: decorate the function to evolve.")
    for mark, functions in marked.items():
        if len(functions) > 1:
            names = " and ".join(f"{node.name} (line {node.lineno})" for node in functions)
            raise ProblemError(f"{filename}: @funsearch.{mark} is on {names}: decorate only one function.")
    evolved, entry = marked["evolve"][0], next(iter(marked["run"]), None)
    if evolved is entry:
        raise ProblemError(
            f"{filename}:{evolved.lineno}: {evolved.name} has both @funsearch.evolve and @funsearch.run: "
            "put @funsearch.run on another function, which scores it."
        )
    return evolved, entry


_DECORATED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _kind(node: ast.AST) -> str:
    if isinstance(node, ast.ClassDef):
        return "a class"
    return "an async function" if isinstance(node, ast.AsyncFunctionDef) else "a method or a nested function"


def read_header(lines: Sequence[str], evolved: ast.FunctionDef, marks: Marks) -> Header:
    """Returns the header of the evolved function."""
    others = [decorator for decorator in evolved.decorator_list if not marks.is_evolve(decorator)]
    decorators = [line for node in others for line in lines[node.lineno - 1 : node.end_lineno]]
    arguments = evolved.args
    variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return Header(
        decorators="".join(f"{line}\n" for line in decorators),
        signature=_signature(lines[evolved.lineno - 1 : end(evolved)], evolved.name),
        docstring=_docstring(lines, evolved),
        keywords=frozenset(argument.arg for argument in (*arguments.kwonlyargs, *variadic)),
    )


def _signature(lines: Sequence[str], name: str) -> str:
    """Returns the text from the end of a function's name up to and including the colon of its header."""
    brackets = 0
    begin = (0, 0)
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
        if token.type == tokenize.NAME and token.string == name and begin == (0, 0):
            begin = token.end
        elif token.type == tokenize.OP:
            brackets += (token.string in "([{") - (token.string in ")]}")
            if token.string == ":" and not brackets:
                break
    text = [*lines[begin[0] - 1 : token.end[0] - 1], lines[token.end[0] - 1][: token.end[1]]]
    text[0] = text[0][begin[1] :]
    return "\n".join(text)


def _docstring(lines: Sequence[str], evolved: ast.FunctionDef) -> str:
    """Returns the source text of a function's docstring, reindented to four spaces."""
    if ast.get_docstring(evolved, clean=False) is None:
        return ""
    text = ast.get_source_segment("\n".join(lines), evolved.body[0]) or ""
    first, _, rest = text.partition("\n")
    return textwrap.indent(f"{first}\n{textwrap.dedent(rest)}".rstrip(), "    ") + "\n"


def read_skeleton(
    tree: ast.Module,
    nodes: Sequence[ast.AST],
    lines: Sequence[str],
    marks: Marks,
    evolved: ast.FunctionDef,
    entry: ast.FunctionDef | None,
) -> Skeleton:
    """Returns the fixed part of the file."""
    edits = _Edits(lines)
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            edits.drop_import(node, alone=_alone(node, tree))
    for function in filter(None, (evolved, entry)):
        for decorator in function.decorator_list:
            if marks.is_evolve(decorator) or marks.is_run(decorator):
                edits.drop(decorator.lineno, decorator.end_lineno or decorator.lineno)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    trusted = edits.copy()
    trusted.drop(start(evolved), end(evolved))
    if entry is not None:
        edits.drop(start(entry), end(entry))
    fixed = [node for node in tree.body if node is not evolved]
    return Skeleton(
        above=edits.text(1, start(evolved) - 1),
        below=_closed(edits.text(end(evolved) + 1, len(lines))),
        trusted=_closed(trusted.text(1, len(lines))),
        preface=_closed(edits.text(1, start(functions[0]) - 1)),
        names=frozenset(defined_names(fixed)),
        imports=frozenset(ast.unparse(node) for node in fixed if isinstance(node, ast.Import | ast.ImportFrom)),
        flags=_future_flags(fixed),
    )


def _closed(text: str) -> str:
    """Returns text with exactly one final newline, or an empty string if it consists of newlines."""
    text = text.rstrip("\n")
    return f"{text}\n" if text else ""


def _alone(node: ast.stmt, tree: ast.Module) -> bool:
    """Returns whether a statement is at the top level and shares none of its lines with another."""
    overlapping = [other for other in tree.body if start(other) <= end(node) and start(node) <= end(other)]
    return overlapping == [node]


def _future_flags(statements: Iterable[ast.stmt]) -> int:
    flags = 0
    for node in statements:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    return flags


class _Edits:
    """Lines of a file to remove or replace, by line number."""

    def __init__(self, lines: Sequence[str], changed: dict[int, str | None] | None = None) -> None:
        self._lines = lines
        self._changed = dict(changed or {})

    def copy(self) -> "_Edits":
        return _Edits(self._lines, self._changed)

    def drop(self, first: int, last: int) -> None:
        """Removes the lines from `first` to `last`."""
        self._changed.update(dict.fromkeys(range(first, last + 1)))

    def drop_import(self, node: ast.Import | ast.ImportFrom, alone: bool) -> None:
        """Removes what a statement imports from funsearch; `alone` means that it shares no line with another."""
        if isinstance(node, ast.ImportFrom):
            others = [] if not node.level and _ours(node.module or "") else node.names
        else:
            others = [alias for alias in node.names if not _ours(alias.name)]
        if len(others) == len(node.names):
            return
        replacement = ast.unparse(ast.Import(others)) if others else "pass"
        self.drop(node.lineno, end(node))
        if others or not alone:
            first, last = self._lines[node.lineno - 1].encode(), self._lines[end(node) - 1].encode()
            head, tail = first[: node.col_offset].decode(), last[node.end_col_offset :].decode()
            self._changed[node.lineno] = head + replacement + tail

    def text(self, first: int, last: int) -> str:
        """Returns the lines from `first` to `last` as edited; around a gap, the longer run of blank lines is kept."""
        result: list[str] = []
        spare = 0
        for number in range(first, last + 1):
            line = self._changed.get(number, self._lines[number - 1])
            if line is None:
                spare = next((n for n, above in enumerate(reversed(result)) if above.strip()), last)
            elif line.strip() or not spare:
                result.append(line)
                spare = 0
            else:
                spare -= 1
        return "".join(f"{line}\n" for line in result)


def _ours(module: str) -> bool:
    return module.partition(".")[0] == _PACKAGE
