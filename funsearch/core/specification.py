"""Specification: a problem file, parsed and checked, and the programs that come of splicing a function into it.

Knows nothing about completions, scores or islands.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from funsearch.core.code.source import (
    Unparsable,
    block_text,
    check_compiles,
    clean,
    parse,
    rename,
    walk,
    without_docstring,
)
from funsearch.core.records import Function
from funsearch.core.skeleton import Header, Marks, Skeleton, marked_functions, read_header, read_skeleton
from funsearch.errors import ProblemError


@dataclass(frozen=True, slots=True)
class Specification:
    """A parsed problem file: a skeleton with one evolved function in it."""

    source: str = field(repr=False)
    """The problem file's text."""
    name: str
    """The evolved function's name."""
    parameters: tuple[str, ...]
    """Its positional parameters."""
    first: Function
    """The first program: the body that the file gives the function."""
    entry: str | None
    """The `@funsearch.run` function of the reference's one-file format, or None."""
    entry_parameters: int
    """How many parameters `entry` requires; 0 without one."""
    title: str
    """First line of the module docstring, or empty."""
    header: Header = field(repr=False)
    skeleton: Skeleton = field(repr=False)

    @classmethod
    def parse(cls, source: str, filename: str = "<specification>") -> "Specification":
        """Returns the specification that the text of a problem file describes.

        Raises:
            ProblemError: the text is no Python, or marks no function that could be evolved.
        """
        try:
            return _parse(source, filename)
        except Unparsable as error:
            place = filename if error.line is None else f"{filename}:{error.line}"
            raise ProblemError(f"{place}: {error.reason}") from error

    @property
    def preface(self) -> str:
        """What stands above the first function, as a prompt shows it; empty or with a newline at its end."""
        return self.skeleton.preface

    def program(self, function: Function) -> str:
        """Returns the module for the confined process: the skeleton with `function` in the evolved one's place.

        Whatever marks the file for funsearch is left out, and so is `entry`: a candidate never sees how it is scored.
        """
        return self.skeleton.above + self.function_source(function) + self.skeleton.below

    def trusted(self) -> str:
        """Returns the module for the trusted side: all but the evolved function, in whose place a proxy is put."""
        return self.skeleton.trusted

    def function_source(self, function: Function, name: str | None = None, docstring: str | None = None) -> str:
        """Returns a function as a person or a model sees it: preamble, header, docstring and body.

        Args:
            function: what to show.
            name: what to call it, also where it calls itself; the specification's name by default.
            docstring: one line of plain text; the specification's docstring by default.
        """
        preamble, body = function.preamble, function.body
        if name is not None and name != self.name:
            preamble, body = rename(preamble, self.name, name), rename(body, self.name, name)
        header, space = self.header, "\n\n" if preamble else ""
        text = header.docstring if docstring is None else f'    """{docstring}"""\n'
        return f"{preamble}{space}{header.decorators}def {name or self.name}{header.signature}\n{text}{body}"


def _parse(text: str, filename: str) -> Specification:
    cleaned = clean(text)
    tree = parse(cleaned)
    nodes = walk(tree)
    lines = cleaned.split("\n")
    marks = Marks.read(nodes)
    evolved, entry = marked_functions(tree, nodes, marks, filename)
    title, _, _ = (ast.get_docstring(tree) or "").partition("\n")
    specification = Specification(
        source=text,
        name=evolved.name,
        parameters=tuple(argument.arg for argument in (*evolved.args.posonlyargs, *evolved.args.args)),
        first=_first(lines, evolved, filename),
        entry=entry.name if entry else None,
        entry_parameters=_required(entry.args) if entry else 0,
        title=title,
        header=read_header(lines, evolved, marks),
        skeleton=read_skeleton(tree, nodes, lines, marks, evolved, entry),
    )
    check_compiles(tree)  # First, because its line numbers are those of the file.
    check_compiles(parse(specification.program(specification.first)))
    return specification


def _first(lines: Sequence[str], evolved: ast.FunctionDef, filename: str) -> Function:
    statements = without_docstring(evolved.body)
    if all(isinstance(node, ast.Pass) for node in statements):
        raise ProblemError(
            f"{filename}:{evolved.lineno}: {evolved.name} has an empty body: give it a first version to start from, "
            "such as `return 0.0`."
        )
    return Function(body=block_text(lines, statements, depth=1))


def _required(arguments: ast.arguments) -> int:
    positional = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return positional + sum(default is None for default in arguments.kw_defaults)
