"""The identity of functions: a digest of the syntax tree that ignores comments, layout and names of local variables.

Knows nothing about specifications or scores.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator

from funsearch.core.code.source import bound_names, parse
from funsearch.core.records import Function

_INTROSPECTION = frozenset({"locals", "vars", "dir", "eval", "exec"})
_LAYOUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})


def key(function: Function) -> str:
    """Returns a digest that is equal for functions that differ only in comments, docstrings, layout and local names.

    Functions that might behave differently have different digests. Nothing is evaluated, so `1 + 1` differs from `2`.
    """
    tree = parse(f"{function.preamble}\ndef _():\n{function.body}")
    body = tree.body[-1]
    numbers = {name: f"local {number}" for number, name in enumerate(_renamable(body))}
    for node in ast.walk(body):
        if isinstance(node, ast.Name):
            node.id = numbers.get(node.id, node.id)
    return hashlib.blake2b("\n".join(_words(tree)).encode(), digest_size=16).hexdigest()


def _words(tree: ast.Module) -> Iterator[str]:
    """Yields a tree as a sequence of words from which it could be reconstructed.

    Empty fields are omitted, because it depends on the version of Python which of them a node has.
    """
    stack: list[object] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Constant):
            yield f"{type(item.value).__name__} {_literal(item.value)}"
        elif isinstance(item, ast.AST):
            yield f"({type(item).__name__}"
            stack.append(_Word(")"))
            for name, value in reversed(list(ast.iter_fields(item))):
                if name not in _LAYOUT and value is not None and value != []:
                    stack += (value, _Word(f".{name}"))
        elif isinstance(item, list):
            yield "["
            stack += (_Word("]"), *reversed([node for node in item if not _is_idle(node)]))
        else:
            yield item if isinstance(item, _Word) else repr(item)


class _Word(str):
    """A word of the notation itself, as opposed to an identifier, which is quoted."""


def _literal(value: object) -> str:
    # Python refuses to convert a huge integer to decimal digits.
    return hex(value) if isinstance(value, int) else repr(value)


def _is_idle(node: object) -> bool:
    """Returns whether a statement has no effect: `pass`, a docstring or another bare constant."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _renamable(function: ast.stmt) -> list[str]:
    """Returns the local names that can be renamed, in the order of first assignment.

    The parameters are not known here, so a name counts as local only if it is assigned before it is read on every path
    through the function.
    """
    flow = _Flow()
    for node in ast.iter_child_nodes(function):
        flow.visit(node)
    if flow.fixed & _INTROSPECTION:
        return []
    return [name for name in flow.order if name not in flow.fixed and not name.startswith("__")]


class _Flow(ast.NodeVisitor):
    """Follows the control flow of a function and collects the names that may refer to something outside it.

    Names that are not bound by `ast.Name` nodes (arguments, imports, ...) are fixed as well, and so are all names in
    rare constructs that have no rule here.
    """

    def __init__(self) -> None:
        self.order: dict[str, None] = {}
        self.fixed: set[str] = set()
        self._assigned: set[str] = set()

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.order.setdefault(node.id)
            self._assigned.add(node.id)
        elif isinstance(node.ctx, ast.Del) or node.id not in self._assigned:
            self.fixed.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._follow([node.value, *node.targets])

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            if node.target.id not in self._assigned:
                self.fixed.add(node.target.id)
        else:
            self.visit(node.target)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self._follow([node.value, node.target])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.fixed.add(node.target.id)
        self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._assigned |= self._branch(node.body) & self._branch(node.orelse)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._branch([node.target, *node.body])
        self._branch(node.orelse)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branch(node.body)
        self._branch(node.orelse)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        self._branch([*node.body, *node.orelse])
        for handler in node.handlers:
            self._branch([handler])
        self._branch(node.finalbody)

    visit_TryStar = visit_Try

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        self._branch([*node.items, *node.body])  # The context manager may suppress an exception in the body.

    visit_AsyncWith = visit_With

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        self._comprehension(node.generators, [node.elt])

    visit_SetComp = visit_GeneratorExp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node.generators, [node.key, node.value])

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, _SCOPES):
            self._branch(ast.iter_child_nodes(node))
        else:
            super().generic_visit(node)
        self._fix(node)

    def _fix(self, node: ast.AST) -> None:
        """Fixes the names that a node binds without an `ast.Name`, and all names in a class body: attributes."""
        if isinstance(node, ast.ClassDef):
            self.fixed |= bound_names(list(ast.walk(node)))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            self.fixed |= set(node.names)
        else:
            self.fixed |= bound_names([node])

    def _comprehension(self, generators: list[ast.comprehension], results: list[ast.expr]) -> None:
        steps = [part for loop in generators for part in (loop.iter, loop.target, *loop.ifs)]
        self._branch([*steps, *results])

    def _follow(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _branch(self, nodes: Iterable[ast.AST]) -> set[str]:
        """Follows nodes that may not run, or only in part; returns the names that are assigned if all of them run."""
        before = self._assigned
        self._assigned = set(before)
        self._follow(nodes)
        after, self._assigned = self._assigned, before
        return after


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.ExceptHandler, ast.match_case)
