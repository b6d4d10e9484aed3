"""Finds the whole function, header included, in a text: a chat model's completion, or a file.

Knows nothing about texts that hold only the body (see `funsearch.core.code.body`).
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
"""Maximum number of lines parsed in search of code; lines that are parsed repeatedly count each time."""
_CODE = re.compile(
    r"[ \t]*(?:(?:async[ \t]+)?def |class |import |from [\w.]+ import |@|[A-Za-z_]\w*[ \t]*(?::.*)?=[^=])"
)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class WholeFunction:
    """A definition of the function, and the code above it in the order of the text."""

    definition: _Definition
    blocks: list[Block]
    """The code up to the definition, which is in the last block."""
    naming: Naming


def code_blocks(lines: list[str]) -> list[Block]:
    """Returns the blocks of code in a text that may contain prose around them."""
    blocks: list[Block] = []
    line = parsed = 0
    while line < len(lines) and parsed < _MAX_LINES:
        is_code = _CODE.match(lines[line]) is not None
        parsed += len(lines) - line if is_code else 0
        block = parse_block(lines[line:]) if is_code else None
        if block is not None and block.statements:
            blocks.append(block)
            line += end(block.statements[-1]) - 1  # A block has an additional first line.
        else:
            line += 1
    return blocks


def find_whole_function(specification: Specification, blocks: list[Block], naming: Naming) -> WholeFunction | None:
    """Returns the definition whose name matches best, or else the only one with the right number of parameters.

    Of several equally good definitions the last is used, as in Python.
    """
    candidates: list[tuple[int, int, _Definition]] = []
    for position, block in enumerate(blocks):
        for node in block.statements:
            if isinstance(node, _Definition) and any(map(acts, without_docstring(node.body))):
                candidates.append((naming.rank(node.name), position, node))
    best = max((rank for rank, _, _ in candidates), default=0)
    if best == 0:
        candidates = [item for item in candidates if _is_plausible(specification, blocks[item[1]], item[2])]
        if len(candidates) != 1 or naming.version is None:
            return None
    _, position, node = [item for item in candidates if item[0] == best][-1]
    return WholeFunction(node, blocks[: position + 1], Naming(naming.name, naming.version, node.name))


def _is_plausible(specification: Specification, block: Block, node: _Definition) -> bool:
    """Returns whether a definition with another name could be the function, rather than a helper in its body."""
    same_parameters = len(_positional(node.args)) == len(specification.parameters)
    return same_parameters and node.name not in specification.skeleton.names and not returns(block.statements)


def read_whole_function(
    specification: Specification, whole: WholeFunction, wanted: Callable[[ast.stmt], bool]
) -> Function:
    """Returns the function, with the statements above it that `wanted` accepts as its preamble."""
    node, last = whole.definition, whole.blocks[-1]
    if isinstance(node, ast.AsyncFunctionDef):
        raise Unparsable(f"{node.name} is an async function")
    chunks = [
        _chunk(block, statement)
        for block in whole.blocks
        for statement in block.statements
        if (block is not last or end(statement) < start(node))
        and wanted(statement)
        and not _is_repeated(specification, statement, whole.naming)
    ]
    body = block_text(last.lines, without_docstring(node.body), depth=1)
    return Function(body=_opening(specification, node.args) + body, preamble="".join(_spaced(chunks)))


def _positional(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]


def _opening(specification: Specification, arguments: ast.arguments) -> str:
    """Returns assignments that bind the parameter names of the function's own header.

    The header may have more parameters than the specification if they have defaults: these become local variables.
    """
    walk(arguments)  # Refuses defaults that are nested too deeply for `ast.unparse`.
    theirs, ours = _positional(arguments), specification.parameters
    extra = [argument for argument in theirs[len(ours) :] if argument not in specification.header.keywords]
    required = len(theirs) - len(arguments.defaults)
    if len(theirs) < len(ours) or (extra and required > len(ours)):
        actual, expected = ", ".join(theirs) or "nothing", ", ".join(ours) or "nothing"
        raise Unparsable(f"takes {actual}, but {specification.name} takes {expected}")
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
    """Returns whether a statement in a completion may define something that the function needs."""
    if isinstance(node, ast.AnnAssign):
        return node.value is not None  # `Note: this` is prose that parses as an annotation.
    kinds = ast.Import | ast.ImportFrom | ast.Assign | ast.AugAssign
    return isinstance(node, kinds | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def is_needed(node: ast.stmt) -> bool:
    """Returns whether a statement of a file has an effect when the file is imported."""
    if isinstance(node, ast.If) and any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test)):
        return False
    return not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _is_repeated(specification: Specification, node: ast.stmt, naming: Naming) -> bool:
    """Returns whether a statement repeats a part of the skeleton, or a version of the function."""
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
    """Returns a statement and its source text, dedented."""
    shared = any(
        other is not node and start(other) <= end(node) and start(node) <= end(other) for other in block.statements
    )
    if shared:
        segment = ast.get_source_segment("\n".join(block.lines), node) or ""
        return node, reindent(segment.split("\n"), depth=0)
    return node, block_text(block.lines, [node], depth=0)


def _spaced(chunks: Sequence[tuple[ast.stmt, str]]) -> Iterable[str]:
    """Yields the source texts of statements, with blank lines around functions and classes."""
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for index, (node, text) in enumerate(chunks):
        if index and (isinstance(node, definitions) or isinstance(chunks[index - 1][0], definitions)):
            yield "\n\n"
        yield text
