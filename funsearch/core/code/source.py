"""Python source as text and syntax tree: parses it safely, finds the longest valid prefix, reindents and renames.

Knows nothing about specifications, prompts or models.
"""

import ast
import io
import re
import threading
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

MAX_DEPTH = 100
"""Maximum depth of a syntax tree. CPython's own limits are above a thousand and depend on the caller's stack."""
MAX_CLEANUP = 100_000
"""Maximum compiled size of `finally` blocks, in nodes; see `_check_cleanup`."""
_ATTEMPTS = 20
"""Maximum number of times a block is cut back. A truncated completion takes two or three, each a pass over the text."""
_INDENT = "    "
_IGNORABLE = re.compile(r"\s*(?:#.*)?")
_UNSTORABLE = re.compile("[\ud800-\udfff]")
# `catch_warnings` modifies global state, so only one thread may be inside it at a time.
_warnings_lock = threading.Lock()


class Unparsable(ValueError):
    """Raised for text that is not valid Python, or that would overload the compiler."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.reason = reason
        self.line = line


@contextmanager
def _translated() -> Iterator[None]:
    """Silences the compiler's warnings and turns its exceptions into `Unparsable`."""
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SyntaxError as error:
        raise Unparsable(error.msg, error.lineno) from error
    except (RecursionError, MemoryError) as error:
        raise Unparsable("nested too deeply") from error
    except (ValueError, OverflowError) as error:
        raise Unparsable(str(error)) from error


def clean(text: str) -> str:
    """Returns text that can be parsed, encoded and stored: newlines as \\n; no NUL, lone surrogate or BOM."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").removeprefix("\ufeff")
    return _UNSTORABLE.sub("\ufffd", text)


def parse(text: str) -> ast.Module:
    """Returns the syntax tree of a module.

    Raises:
        Unparsable: the text cannot be parsed.
    """
    with _translated():
        return ast.parse(text)


def check_compiles(tree: ast.Module, flags: int = 0) -> None:
    """Refuses code that parses but does not compile, such as a `break` outside a loop.

    Args:
        tree: a tree that `walk` has accepted.
        flags: the `__future__` features of the module that the code will be part of.

    Raises:
        Unparsable: the code does not compile; has the compiler's reason.
    """
    with _translated():
        compile(tree, "<candidate>", "exec", flags=flags, dont_inherit=True)


def walk(tree: ast.AST) -> list[ast.AST]:
    """Returns all nodes of a tree, in no particular order.

    Raises:
        Unparsable: the tree is too deep, or would become too large when compiled.
    """
    nodes: list[ast.AST] = []
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        if depth > MAX_DEPTH:
            raise Unparsable("nested too deeply")
        nodes += level
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    _check_cleanup(nodes)
    return nodes


def _check_cleanup(nodes: Sequence[ast.AST]) -> None:
    """Refuses nested `finally` blocks: CPython compiles each once per exit path, so their size grows exponentially."""
    tries = [node for node in nodes if isinstance(node, ast.Try | ast.TryStar) and node.finalbody]
    if not tries:
        return
    depths = Counter(id(inner) for node in tries for inner in ast.walk(node))
    depth = max(depths[id(node)] for node in tries)
    exits = 1 + sum(isinstance(node, ast.Return | ast.Break | ast.Continue) for node in nodes)
    cleanup = sum(1 for node in tries for statement in node.finalbody for _ in ast.walk(statement))
    if cleanup * exits << depth > MAX_CLEANUP:
        raise Unparsable("too many finally blocks")


@dataclass(frozen=True, slots=True)
class Block:
    """Statements of one level, and their source lines: `lines[node.lineno - 1]` is the first line of a node."""

    lines: list[str]
    statements: list[ast.stmt]


def parse_block(lines: Sequence[str]) -> Block | None:
    """Returns the longest prefix of `lines` that is valid Python, or None if it does not begin with a statement.

    Indented lines form a block, which ends with the indentation. The first line of the result is artificial.

    Raises:
        Unparsable: there are so many errors that finding the prefix would take too long.
    """
    first = next((line for line in lines if not _IGNORABLE.fullmatch(line)), "")
    if not first:
        return None
    indented = first[0] in " \t\f"
    kept = ["def _():" if indented else "", *lines]
    for _ in range(_ATTEMPTS):
        try:
            module = parse("\n".join(kept) + "\n")
        except Unparsable as error:
            kept = kept[: _cut(kept, error)]
            if len(kept) < 2:
                return None
        else:
            body = module.body
            if indented and isinstance(body[0], ast.FunctionDef):
                body = body[0].body
            return Block(kept, body)
    raise Unparsable("cannot be cut back to valid code")


def _cut(lines: Sequence[str], error: Unparsable) -> int:
    """Returns the number of lines to keep so that they end before the error, which is at least one line less."""
    keep = 0 if error.line is None else min(error.line, len(lines)) - 1
    if "'except' or 'finally'" in error.reason:
        keep = _open_try(lines, keep)
    while keep and (_IGNORABLE.fullmatch(lines[keep - 1]) or _decorates(lines[keep - 1 : keep + 1])):
        keep -= 1
    return keep


def _decorates(lines: Sequence[str]) -> bool:
    """Returns whether the first of two lines is a decorator for the second, which is a decorator as well."""
    return len(lines) == 2 and all(line.lstrip().startswith("@") for line in lines)


def _open_try(lines: Sequence[str], end: int) -> int:
    """Returns the index of the `try` whose body contains line `end - 1`, or `end` if there is none."""
    margin = float("inf")
    for index in range(end - 1, -1, -1):
        line = lines[index]
        if not line.strip() or width(line) >= margin:
            continue
        margin = width(line)
        if line.lstrip().startswith("try"):
            return index
    return end


def width(line: str) -> int:
    """Returns the indentation of a line, in columns."""
    line = line.expandtabs()
    return len(line) - len(line.lstrip())


def start(node: ast.stmt) -> int:
    """Returns the first line of a statement, including its decorators."""
    decorators = getattr(node, "decorator_list", ())
    return min(node.lineno, *(decorator.lineno for decorator in decorators)) if decorators else node.lineno


def end(node: ast.stmt) -> int:
    """Returns the last line of a statement."""
    return node.end_lineno or node.lineno


def without_docstring(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Returns the statements after the strings at the beginning of a body."""
    index = 0
    while index < len(statements) and _is_string(statements[index]):
        index += 1
    return statements[index:]


def _is_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def block_text(lines: Sequence[str], statements: Sequence[ast.stmt], depth: int) -> str:
    """Returns consecutive statements of one level and the comments directly above them, indented to `depth` levels."""
    first = statements[0]
    begin = start(first) - 1
    chunk = list(lines[begin : end(statements[-1])])
    before = _characters(chunk[0], first.col_offset) if begin == first.lineno - 1 else ""
    if before.strip():  # `def f(): return 0`, or a statement after a docstring and a semicolon
        chunk[0] = before[: len(before) - len(before.lstrip())] + chunk[0][len(before) :]
        if not chunk[0][0].isspace() and depth:
            chunk[0] = _INDENT + chunk[0]
    else:
        while begin and lines[begin - 1].lstrip().startswith("#"):
            begin -= 1
            chunk.insert(0, lines[begin])
    return reindent(chunk, depth)


def _characters(line: str, column: int) -> str:
    """Returns the text before a column, which syntax trees count in bytes."""
    return line.encode()[:column].decode()


def reindent(lines: Sequence[str], depth: int) -> str:
    """Returns valid lines of one level, reindented by four spaces per level from `depth` on, with strings unchanged.

    Raises:
        Unparsable: the lines cannot be tokenized.
    """
    starts, inside = _layout(lines)
    base = min(starts.values(), default=0)
    shift = 0
    result = []
    for number, line in enumerate(lines):
        if number in inside:
            result.append(line)
            continue
        if number in starts:
            margin = 4 * (depth + starts[number] - base)
            shift = margin - width(line)
        text = line.lstrip(" \t\f")
        if number + 1 not in inside:
            text = text.rstrip()
        result.append(" " * max(0, width(line) + shift) + text if text else "")
    return "\n".join(result) + "\n"


def _layout(lines: Sequence[str]) -> tuple[dict[int, int], set[int]]:
    """Returns the level of each line that begins a statement or is a comment, and the lines that begin in a string."""
    starts: dict[int, int] = {}
    comments: list[int] = []
    inside: set[int] = set()
    level = 0
    fresh = True
    fstrings: list[int] = []
    for token in _tokens("\n".join(lines) + "\n"):
        line = token.start[0] - 1
        name = tokenize.tok_name[token.type]
        if name == "INDENT":
            level += 1
        elif name == "DEDENT":
            level -= 1
        elif name == "COMMENT" and fresh:
            comments.append(line)
        elif name == "NEWLINE":
            fresh = True
        elif name not in ("NL", "COMMENT", "ENDMARKER"):
            if fresh:
                _place(starts, comments, lines, line, level)
                comments = []
            fresh = False
        if name == "STRING":
            inside.update(range(line + 1, token.end[0]))
        elif name == "FSTRING_START":  # Python 3.12 and later
            fstrings.append(line)
        elif name == "FSTRING_END":
            inside.update(range(fstrings.pop() + 1, token.end[0]))
    return starts, inside


def _place(starts: dict[int, int], comments: Sequence[int], lines: Sequence[str], line: int, level: int) -> None:
    """Records the level of a statement; each comment above it gets the level of the statement it is aligned with."""
    above = max(starts, default=line)
    for comment in comments:
        aligned = width(lines[comment]) == width(lines[above]) != width(lines[line])
        starts[comment] = starts[above] if aligned and above in starts else level
    starts[line] = level


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError) as error:
        raise Unparsable(str(error)) from error


@lru_cache(maxsize=1024)  # The best programs are shown in many prompts.
def rename(text: str, old: str, new: str) -> str:
    """Returns statements of one level in which the function `old` is renamed to `new`.

    Text in which `old` is a variable is returned unchanged.
    """
    if not re.search(rf"\b{re.escape(old)}\b", text):
        return text
    block = parse_block(text.split("\n"))
    if block is None or len(block.lines) <= text.count("\n"):
        return text
    nodes = [node for statement in block.statements for node in ast.walk(statement)]
    if old in bound_names(nodes):
        return text
    lines = list(block.lines)
    names = [node for node in nodes if isinstance(node, ast.Name) and node.id == old]
    for name in sorted(names, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line = lines[name.lineno - 1]
        before = _characters(line, name.col_offset)
        # Before Python 3.12, the positions of names in f-strings are unreliable.
        if line[len(before) :].startswith(old):
            lines[name.lineno - 1] = before + new + line[len(before) + len(old) :]
    return "\n".join(lines[1:])


def bound_names(nodes: Sequence[ast.AST]) -> set[str]:
    """Returns the names that nodes bind, in any scope."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.split(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
    return names


def defined_names(statements: Sequence[ast.stmt]) -> set[str]:
    """Returns the functions, classes and variables that statements define in their own scope, except imports."""
    names: set[str] = set()
    stack: list[ast.AST] = list(statements)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import | ast.ImportFrom | _INNER_SCOPES):
            continue
        names |= bound_names([node])
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            stack += ast.iter_child_nodes(node)
    return names


_INNER_SCOPES = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
