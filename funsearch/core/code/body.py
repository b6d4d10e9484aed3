"""Finds the body of the function in a text that continues the prompt.

Knows nothing about texts that hold the whole function (see `funsearch.core.code.whole_function`).
"""

import ast
import re
from collections.abc import Iterable, Sequence

from funsearch.core.code.naming import Naming
from funsearch.core.code.source import Block, end, parse_block, width, without_docstring

_DEFINITION = re.compile(r"[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)")


def continuation(lines: list[str], naming: Naming) -> Block | None:
    """Returns the body that a text begins with, or None if the text does not look like a continuation of the prompt."""
    first = _first_code(lines)
    definition = _DEFINITION.match(lines[first]) if first is not None else None
    if first is None or (definition and naming.rank(definition[1])):
        return None
    if lines[first][0] in " \t":
        return _effective(parse_block(lines))
    body = _dedented_body(lines, first, naming)
    # Without a return, these are more likely the imports above a whole function.
    return body if body is not None and returns(body.statements) else None


def any_body(fragments: Iterable[list[str]], naming: Naming) -> Block | None:
    """Returns the first body among the fragments of a text, preferably one with a return statement."""
    bodies = []
    for lines in fragments:
        first = _first_code(lines)
        if first is not None:
            indented = lines[first][0] in " \t"
            body = _effective(parse_block(lines)) if indented else _dedented_body(lines, first, naming)
            bodies += [body] if body is not None else []
    return max(bodies, key=lambda body: returns(body.statements), default=None)


def _dedented_body(lines: list[str], first: int, naming: Naming) -> Block | None:
    """Returns the body in lines that have lost the indentation of the first line, or of all lines."""
    as_written = parse_block(lines)
    if as_written is not None:
        as_written = Block(as_written.lines, _up_to_return(as_written.statements, naming))
    padded = parse_block([*lines[:first], " " * _lost_indentation(lines[first:]) + lines[first], *lines[first + 1 :]])
    bodies = [body for body in map(_effective, (as_written, padded)) if body is not None]
    return max(bodies, key=lambda body: (returns(body.statements), end(body.statements[-1])), default=None)


def _lost_indentation(lines: Sequence[str]) -> int:
    """Returns the indentation that the first line probably had, inferred from the indented lines after it."""
    margins = []
    for line in lines[1:]:
        if line.strip():
            if line[0] not in " \t":
                break
            margins.append(width(line))
    if not margins:
        return 4
    opens = lines[0].rstrip().endswith(":") and margins[0] == min(margins)
    return max(1, min(margins) // 2) if opens else min(margins)


def _up_to_return(statements: list[ast.stmt], naming: Naming) -> list[ast.stmt]:
    """Returns the statements up to and including the first return, or before a definition of the whole function."""
    for index, node in enumerate(statements):
        if isinstance(node, ast.Return):
            return statements[: index + 1]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and naming.rank(node.name):
            return statements[:index]
    return statements


def _first_code(lines: Sequence[str]) -> int | None:
    return next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)


def _effective(block: Block | None) -> Block | None:
    """Returns the block without its docstring, or None if none of its statements has an effect."""
    statements = without_docstring(block.statements) if block is not None else []
    return Block(block.lines, statements) if block is not None and any(map(acts, statements)) else None


_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_INERT = _DEFINITIONS | ast.Pass | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal
_ACTIVE = ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr


def acts(node: ast.stmt) -> bool:
    """Returns whether a statement has an effect. Prose that is valid Python (`This is better`) has none."""
    if isinstance(node, ast.Expr):
        return any(isinstance(inner, _ACTIVE) for inner in ast.walk(node))
    return not isinstance(node, _INERT) and not (isinstance(node, ast.AnnAssign) and node.value is None)


def returns(statements: Iterable[ast.stmt]) -> bool:
    """Returns whether there is a return among the statements, not counting those of inner functions."""
    stack: list[ast.AST] = list(statements)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return):
            return True
        if not isinstance(node, _DEFINITIONS | ast.expr):
            stack += ast.iter_child_nodes(node)
    return False
