"""The specification: a problem file, parsed and validated, into which functions are spliced to make programs.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """A parsed problem file: the skeleton, and the evolved function in it."""

    source: str = field(repr=False)
    """Text of the problem file."""
    name: str
    """Name of the evolved function."""
    parameters: tuple[str, ...]
    """Names of its positional parameters."""
    first: Function
    """The first program: the evolved function as the file defines it."""
    entry: str | None
    """Name of the `@funsearch.run` function in the reference's one-file format, or None."""
    entry_parameters: int
    """Number of parameters that `entry` requires; 0 if there is no entry function."""
    title: str
    """First line of the module docstring; may be empty."""
    header: Header = field(repr=False)
    skeleton: Skeleton = field(repr=False)

    @classmethod
    def parse(cls, source: str, filename: str = "<specification>") -> "Specification":
        """Parses the text of a problem file.

        Raises:
            ProblemError: the text is not valid Python, or does not mark a function to evolve.
        """
        try:
            return _parse(source, filename)
        except Unparsable as error:
            place = filename if error.line is None else f"{filename}:{error.line}"
            raise ProblemError(f"{place}: {error.reason}") from error

    @property
    def preface(self) -> str:
        """The code above the first function, shown at the top of prompts; empty or ending in a newline."""
        return self.skeleton.preface

    def program(self, function: Function) -> str:
        """Returns the module for the confined process: the skeleton, with `function` as the evolved function.

        It contains neither funsearch's imports and decorators nor `entry`, so a candidate cannot see how it is scored.
        """
        return self.skeleton.above + self.function_source(function) + self.skeleton.below

    def trusted(self) -> str:
        """Returns the module for the trusted side: the file without the evolved function, which a proxy replaces."""
        return self.skeleton.trusted

    def function_source(self, function: Function, name: str | None = None, docstring: str | None = None) -> str:
        """Returns the source text of a function, for people and prompts: preamble, header, docstring and body.

        Args:
            function: the function to show.
            name: its name, also in recursive calls; by default, the name in the specification.
            docstring: one line of plain text; by default, the docstring in the specification.
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
    check_compiles(tree)  # Before the program, because errors in the file have the file's line numbers.
    check_compiles(parse(specification.program(specification.first)))
    return specification


def _first(lines: Sequence[str], evolved: ast.FunctionDef, filename: str) -> Function:
    statements = without_docstring(evolved.body)
    if all(isinstance(node, ast.Pass) for node in statements):
        raise ProblemError(
            f"{filename}:{evolved.lineno}: {evolved.name} has an empty body: write a first version to start from, "
            "such as `return 0.0`."
        )
    return Function(body=block_text(lines, statements, depth=1))


def _required(arguments: ast.arguments) -> int:
    positional = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return positional + sum(default is None for default in arguments.kw_defaults)
