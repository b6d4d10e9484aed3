"""Finds the function in a text that holds all of it: a chat model's answer, or a file.

Knows nothing about texts that hold its body alone (see `funsearch.core.code.body`).
"""

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from funsearch.core.code.body import acts, returns
from funsearch.core.code.naming import Naming
from funsearch.core.code.source import (
    Block,
    Unparsable,
    block_text,
    defined_names,
    end,
    parse_block,
    reindent,
    start,
    walk,
    without_docstring,
)
from funsearch.core.records import Function
from funsearch.core.specification import Specification

_MAX_LINES = 20_000
"""How many lines are looked through for code, counting those again that stand below a false start."""
_CODE = re.compile(
    r"[ \t]*(?:(?:async[ \t]+)?def |class |import |from [\w.]+ import |@|[A-Za-z_]\w*[ \t]*(?::.*)?=[^=])"
)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Restated:
    """A definition of the function, and the code above it in the order of the text."""

    definition: _Definition
    blocks: list[Block]
    """The last one holds the definition."""
    naming: Naming


def code_blocks(lines: list[str]) -> list[Block]:
    """Returns the pieces of code in a text that may have prose around them."""
    blocks: list[Block] = []
    line = work = 0
    while line < len(lines) and work < _MAX_LINES:
        code = _CODE.match(lines[line]) is not None
        work += len(lines) - line if code else 0
        block = parse_block(lines[line:]) if code else None
        if block is not None and block.statements:
            blocks.append(block)
            line += end(block.statements[-1]) - 1  # The block has one line more, at its top.
        else:
            line += 1
    return blocks


def find_restated(specification: Specification, blocks: list[Block], naming: Naming) -> Restated | None:
    """Returns the best definition of the function: by its name, else the only one that takes the right parameters.

    The last of several is what Python would call.
    """
    found: list[tuple[int, int, _Definition]] = []
    for position, block in enumerate(blocks):
        for node in block.statements:
            if isinstance(node, _Definition) and any(map(acts, without_docstring(node.body))):
                found.append((naming.rank(node.name), position, node))
    best = max((rank for rank, _, _ in found), default=0)
    if best == 0:
        found = [item for item in found if _may_be_it(specification, blocks[item[1]], item[2])]
        if len(found) != 1 or naming.version is None:
            return None
    _, position, node = [item for item in found if item[0] == best][-1]
    return Restated(node, blocks[: position + 1], Naming(naming.name, naming.version, node.name))


def _may_be_it(specification: Specification, block: Block, node: _Definition) -> bool:
    """Returns whether a function of another name could be the one asked for, and no helper within its body."""
    fits = len(_positional(node.args)) == len(specification.parameters)
    return fits and node.name not in specification.skeleton.names and not returns(block.statements)


def read_restated(specification: Specification, restated: Restated, wanted: Callable[[ast.stmt], bool]) -> Function:
    """Returns the function of a definition, with the wanted statements above it as its preamble."""
    node, last = restated.definition, restated.blocks[-1]
    if isinstance(node, ast.AsyncFunctionDef):
        raise Unparsable(f"{node.name} is an async function")
    chunks = [
        _chunk(block, statement)
        for block in restated.blocks
        for statement in block.statements
        if (block is not last or end(statement) < start(node))
        and wanted(statement)
        and not _restates(specification, statement, restated.naming)
    ]
    body = block_text(last.lines, without_docstring(node.body), depth=1)
    return Function(body=_opening(specification, node.args) + body, preamble="".join(_spaced(chunks)))


def _positional(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]


def _opening(specification: Specification, arguments: ast.arguments) -> str:
    """Returns statements that give the parameters of a restated header the names they have there.

    A header may have more parameters than the specification's if they have defaults: these become variables.
    """
    walk(arguments)  # What is nested too deeply cannot be put into words again.
    theirs, ours = _positional(arguments), specification.parameters
    extra = [argument for argument in theirs[len(ours) :] if argument not in specification.header.keywords]
    required = len(theirs) - len(arguments.defaults)
    if len(theirs) < len(ours) or (extra and required > len(ours)):
        given = ", ".join(theirs) or "nothing"
        raise Unparsable(f"takes {given}, where {specification.name} takes {', '.join(ours) or 'nothing'}")
    defaults = dict(zip(theirs[required:], map(ast.unparse, arguments.defaults), strict=True))
    variables = {name: defaults[name] for name in extra}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.arg not in specification.header.keywords:
            if default is None:
                raise Unparsable(f"requires {argument.arg}, which {specification.name} does not take")
            variables[argument.arg] = ast.unparse(default)
    for variadic, value in ((arguments.vararg, "()"), (arguments.kwarg, "{}")):
        if variadic is not None and variadic.arg not in specification.header.keywords:
            variables[variadic.arg] = value
    renamed = [(their, our) for their, our in zip(theirs, ours, strict=False) if their != our]
    lines = [f"{', '.join(their for their, _ in renamed)} = {', '.join(our for _, our in renamed)}"] if renamed else []
    lines += [f"{name} = {value}" for name, value in variables.items()]
    return "".join(f"    {line}\n" for line in lines)


def is_definition(node: ast.stmt) -> bool:
    """Returns whether a statement of an answer may be something that the function needs."""
    if isinstance(node, ast.AnnAssign):
        return node.value is not None  # `Note: this` is prose.
    kinds = ast.Import | ast.ImportFrom | ast.Assign | ast.AugAssign
    return isinstance(node, kinds | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def is_needed(node: ast.stmt) -> bool:
    """Returns whether a statement of a file is run when the file is imported and does anything."""
    if isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test)):
        return False
    return not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _restates(specification: Specification, node: ast.stmt, naming: Naming) -> bool:
    """Returns whether a statement repeats the skeleton, which is fixed, or a version of the function."""
    skeleton = specification.skeleton
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        packages = {module.partition(".")[0] for module in modules}
        return bool(packages & {"funsearch", "__future__"}) or ast.unparse(node) in skeleton.imports
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name in skeleton.names or naming.rank(node.name) > 0
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return bool(defined_names([node]) & skeleton.names)
    return False


def _chunk(block: Block, node: ast.stmt) -> tuple[ast.stmt, str]:
    """Returns a statement of a preamble and its text."""
    shared = any(
        other is not node and start(other) <= end(node) and start(node) <= end(other) for other in block.statements
    )
    if shared:
        segment = ast.get_source_segment("\n".join(block.lines), node) or ""
        return node, reindent(segment.split("\n"), depth=0)
    return node, block_text(block.lines, [node], depth=0)


def _spaced(chunks: Sequence[tuple[ast.stmt, str]]) -> Iterable[str]:
    """Yields the texts of statements with blank lines around functions and classes."""
    tall = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for index, (node, text) in enumerate(chunks):
        if index and (isinstance(node, tall) or isinstance(chunks[index - 1][0], tall)):
            yield "\n\n"
        yield text
