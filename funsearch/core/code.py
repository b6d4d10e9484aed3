"""Reads the function out of what a model wrote, and tells when two functions are the same.

A base model goes on where the prompt ends; a chat model writes an essay with the function somewhere in it. Knows
nothing about how the text came to be or what becomes of the function.
"""

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from funsearch.core.identity import key
from funsearch.core.prompt import versioned
from funsearch.core.records import Function
from funsearch.core.source import (
    Block,
    Unparsable,
    block_text,
    bound_names,
    check_compiles,
    clean,
    end,
    parse,
    parse_block,
    reindent,
    rename,
    start,
    walk,
    width,
    without_docstring,
)
from funsearch.core.specification import Specification

__all__ = ["UnreadableCompletion", "key", "read_completion", "read_file"]

MAX_CHARACTERS = 65_536
"""What is longer is cut off like any other answer that ended for its length; a body has a hundredth of that."""
_MAX_BLOCKS = 20
"""How many pieces of code are looked for in one answer."""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_CODE = re.compile(
    r"[ \t]*(?:(?:async[ \t]+)?def |class |import |from [\w.]+ import |@|[A-Za-z_]\w*[ \t]*(?::.*)?=[^=])"
)
_DEFINITION = re.compile(r"[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)")


class UnreadableCompletion(ValueError):
    """Raised when no function can be read from a text; says why."""


def read_completion(specification: Specification, text: str, version: int) -> Function:
    """Returns the function in a model's answer to a prompt that asked for `f_v{version}`.

    The answer may be the body (a continuation of the prompt, however indented, and cut back to its longest valid
    prefix), or a text with the whole function in it: then imports, constants and helpers above it come along.

    Raises:
        UnreadableCompletion: there is no function in it, or one that calls an earlier version or does not compile.
    """
    answer = clean(text)[:MAX_CHARACTERS].rpartition("</think>")[2]
    fragments = [fragment.split("\n") for fragment in _FENCE.split(answer) if fragment.strip()]
    naming = _Naming(specification.name, version)
    try:
        body = _continuation(fragments[0], naming) if fragments else None
        if body is None:
            blocks = [block for fragment in fragments for block in _blocks(fragment)]
            restated = _find_restated(specification, blocks, naming)
            if restated is not None:
                return _finish(specification, _read_restated(specification, restated, _is_definition), restated.naming)
            body = _any_body(fragments, naming)
        if body is None:
            raise UnreadableCompletion(f"no body of {specification.name} in it")
        return _finish(specification, Function(block_text(body.lines, body.statements, depth=1)), naming)
    except Unparsable as error:
        raise UnreadableCompletion(error.reason) from error


def read_file(specification: Specification, text: str) -> Function:
    """Returns the function in a file: the evolved function, under its name or a version's, with what it needs above it.

    All of the file is taken at its word: nothing is cut off to make it parse, and every statement above the function is
    kept, but for what restates the skeleton.

    Raises:
        UnreadableCompletion: there is no such function, or one that calls a version of it or does not compile.
    """
    text = clean(text)
    if len(text) > MAX_CHARACTERS:
        raise UnreadableCompletion(f"{len(text)} characters, where {MAX_CHARACTERS} are allowed")
    try:
        module = parse(text)
        block = Block(["", *text.split("\n")], ast.increment_lineno(module).body)
        restated = _find_restated(specification, [block], _Naming(specification.name, None))
        if restated is None:
            raise UnreadableCompletion(f"no function {specification.name} in it")
        return _finish(specification, _read_restated(specification, restated, _is_needed), restated.naming)
    except Unparsable as error:
        raise UnreadableCompletion(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Naming:
    """What the function may be called where it calls itself, and what its ancestors are called."""

    name: str
    version: int | None
    """The version asked for; None for a file, where every numbered version is an earlier one."""
    own: str = ""
    """The name it came with."""

    def rank(self, name: str) -> int:
        """Returns how well a function's name fits, 0 if it does not."""
        if self.version is not None and name == versioned(self.name, self.version):
            return 4
        return 3 if name == self.name else 2 if self.number(name) is not None else 0

    def number(self, name: str) -> int | None:
        """Returns which version a name is that of, None if it is another name."""
        match = re.fullmatch(rf"{re.escape(self.name)}_v(0|[1-9]\d{{0,8}})", name)
        return int(match[1]) if match else None

    def aliases(self) -> set[str]:
        """Returns the names of the function other than the specification's."""
        asked = {versioned(self.name, self.version)} if self.version is not None else set()
        return ({self.own} if self.number(self.own) is not None else set()) | asked

    def is_ancestor(self, name: str) -> bool:
        number = self.number(name)
        return number is not None and name not in self.aliases() and (self.version is None or number < self.version)


# The body alone


def _continuation(lines: list[str], naming: _Naming) -> Block | None:
    """Returns the body that a text goes on with, or None if the text seems to be something else."""
    first = _first_code(lines)
    definition = _DEFINITION.match(lines[first]) if first is not None else None
    if first is None or (definition and naming.rank(definition[1])):
        return None
    if lines[first][0] in " \t":
        return _bodied(parse_block(lines))
    body = _dedented_body(lines, first, naming)
    # Without a return it is rather the imports above a restated function.
    return body if body is not None and _returns(body.statements) else None


def _any_body(fragments: Iterable[list[str]], naming: _Naming) -> Block | None:
    """Returns the first body among the fragments, preferably one that returns something."""
    bodies = []
    for lines in fragments:
        first = _first_code(lines)
        if first is not None:
            indented = lines[first][0] in " \t"
            body = _bodied(parse_block(lines)) if indented else _dedented_body(lines, first, naming)
            bodies += [body] if body is not None else []
    return max(bodies, key=lambda body: _returns(body.statements), default=None)


def _dedented_body(lines: list[str], first: int, naming: _Naming) -> Block | None:
    """Returns the body in lines of which the first, or all, have lost their indentation."""
    as_written = parse_block(lines)
    if as_written is not None:
        as_written = Block(as_written.lines, _up_to_return(as_written.statements, naming))
    padded = parse_block([*lines[:first], " " * _lost_indentation(lines[first:]) + lines[first], *lines[first + 1 :]])
    bodies = [body for body in map(_bodied, (as_written, padded)) if body is not None]
    return max(bodies, key=lambda body: (_returns(body.statements), end(body.statements[-1])), default=None)


def _lost_indentation(lines: Sequence[str]) -> int:
    """Returns how far to the right the first line stood, going by the indented lines that follow it."""
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


def _up_to_return(statements: list[ast.stmt], naming: _Naming) -> list[ast.stmt]:
    """Returns the statements up to the first return among them, or down to a restated function."""
    for index, node in enumerate(statements):
        if isinstance(node, ast.Return):
            return statements[: index + 1]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and naming.rank(node.name):
            return statements[:index]
    return statements


def _first_code(lines: Sequence[str]) -> int | None:
    return next((i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), None)


def _bodied(block: Block | None) -> Block | None:
    """Returns the block without docstring, or None if nothing in it does anything."""
    statements = without_docstring(block.statements) if block is not None else []
    return Block(block.lines, statements) if block is not None and any(map(_acts, statements)) else None


_INERT = (ast.Pass, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Global)
_ACTIVE = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)


def _acts(node: ast.stmt) -> bool:
    """Returns whether a statement does something. Prose that happens to be Python (`This is better`) does not."""
    if isinstance(node, ast.Expr):
        return any(isinstance(inner, _ACTIVE) for inner in ast.walk(node))
    return not isinstance(node, _INERT) and not (isinstance(node, ast.AnnAssign) and node.value is None)


def _returns(statements: Iterable[ast.stmt]) -> bool:
    """Returns whether there is a return among the statements, those of inner functions aside."""
    stack: list[ast.AST] = list(statements)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Return):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.expr):
            stack += ast.iter_child_nodes(node)
    return False


# The whole function


@dataclass(frozen=True, slots=True)
class _Restated:
    """A definition of the function, and the code above it in the order of the text."""

    definition: ast.FunctionDef | ast.AsyncFunctionDef
    blocks: list[Block]
    """The last one holds the definition."""
    naming: _Naming


def _blocks(lines: list[str]) -> list[Block]:
    """Returns the pieces of code in a text that may have prose around them."""
    blocks: list[Block] = []
    line = 0
    while line < len(lines) and len(blocks) < _MAX_BLOCKS:
        block = parse_block(lines[line:]) if _CODE.match(lines[line]) else None
        if block is None:
            line += 1
            continue
        blocks.append(block)
        line += max(1, end(block.statements[-1]) - 1)  # The block has a line more, at its top.
    return blocks


def _find_restated(specification: Specification, blocks: list[Block], naming: _Naming) -> _Restated | None:
    """Returns the best definition of the function: by name, else the only one that takes the right parameters."""
    found: list[tuple[int, int, ast.FunctionDef | ast.AsyncFunctionDef]] = []
    for position, block in enumerate(blocks):
        for node in block.statements:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
                map(_acts, without_docstring(node.body))
            ):
                found.append((naming.rank(node.name), position, node))
    best = max((rank for rank, _, _ in found), default=0)
    if best == 0:
        count = len(specification.parameters)
        found = [item for item in found if len(_positional(item[2].args)) == count]
        if len(found) != 1:
            return None
    _, position, node = [item for item in found if item[0] == best][-1]
    return _Restated(node, blocks[: position + 1], _Naming(naming.name, naming.version, node.name))


def _read_restated(specification: Specification, restated: _Restated, wanted: Callable[[ast.stmt], bool]) -> Function:
    """Returns the function of a definition, with the wanted statements above it as its preamble."""
    node = restated.definition
    if isinstance(node, ast.AsyncFunctionDef):
        raise UnreadableCompletion(f"{node.name} is an async function")
    opening = _opening(specification, node.args)
    body = block_text(restated.blocks[-1].lines, without_docstring(node.body), depth=1)
    chunks = [
        _chunk(block, statement)
        for block in restated.blocks
        for statement in block.statements
        if (block is not restated.blocks[-1] or end(statement) < start(node))
        and wanted(statement)
        and not _restates(specification, statement, restated.naming)
    ]
    return Function(body=opening + body, preamble="".join(_spaced(chunks)))


def _positional(arguments: ast.arguments) -> list[str]:
    return [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]


def _opening(specification: Specification, arguments: ast.arguments) -> str:
    """Returns statements that give the parameters of a restated header the names they have there.

    A header may have more parameters than the specification's if they have defaults: these become variables.
    """
    theirs, ours = _positional(arguments), specification.parameters
    extra = [argument for argument in theirs[len(ours) :] if argument not in specification.header.keywords]
    required = len(theirs) - len(arguments.defaults)
    if len(theirs) < len(ours) or (extra and required > len(ours)):
        given = ", ".join(theirs) or "nothing"
        raise UnreadableCompletion(f"takes {given}, where {specification.name} takes {', '.join(ours) or 'nothing'}")
    defaults = dict(zip(theirs[required:], map(ast.unparse, arguments.defaults), strict=True))
    variables = {name: defaults[name] for name in extra}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.arg not in specification.header.keywords:
            if default is None:
                raise UnreadableCompletion(f"requires {argument.arg}, which {specification.name} does not take")
            variables[argument.arg] = ast.unparse(default)
    for variadic, value in ((arguments.vararg, "()"), (arguments.kwarg, "{}")):
        if variadic is not None and variadic.arg not in specification.header.keywords:
            variables[variadic.arg] = value
    renamed = [(their, our) for their, our in zip(theirs, ours, strict=False) if their != our]
    lines = [f"{', '.join(their for their, _ in renamed)} = {', '.join(our for _, our in renamed)}"] if renamed else []
    lines += [f"{name} = {value}" for name, value in variables.items()]
    return "".join(f"    {line}\n" for line in lines)


def _is_definition(node: ast.stmt) -> bool:
    """Returns whether a statement of an answer may be something that the function needs."""
    kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.AugAssign)
    return isinstance(node, (*kinds, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _is_needed(node: ast.stmt) -> bool:
    """Returns whether a statement of a file is run when the file is imported and does anything."""
    if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
        return False
    return not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _restates(specification: Specification, node: ast.stmt, naming: _Naming) -> bool:
    """Returns whether a statement is there already: part of the skeleton, which is fixed, or a version of the function."""
    skeleton = specification.skeleton
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        packages = {module.partition(".")[0] for module in modules}
        return bool(packages & {"funsearch", "__future__"}) or ast.unparse(node) in skeleton.imports
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name in skeleton.names or naming.rank(node.name) > 0
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return bool(bound_names(list(ast.walk(node))) & skeleton.names)
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


# Both


def _finish(specification: Specification, function: Function, naming: _Naming) -> Function:
    """Returns the function under the specification's name, if it stands on its own and compiles."""
    for alias in naming.aliases():
        function = Function(rename(function.body, alias, naming.name), rename(function.preamble, alias, naming.name))
    tree = parse(specification.function_source(function))
    nodes = walk(tree)
    for node in nodes:
        if isinstance(node, ast.Name) and naming.is_ancestor(node.id):
            raise UnreadableCompletion(f"calls the earlier version {node.id}")
    check_compiles(tree, specification.skeleton.flags)
    return function
