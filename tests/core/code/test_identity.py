"""Keys: which functions are considered equal."""

import ast
import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch.core.code.identity import key
from funsearch.core.records import Function


def digest(body: str, preamble: str = "") -> str:
    return key(Function(body="".join(f"    {line}\n" for line in body.split("\n")), preamble=preamble))


SAME = {
    "layout": ("return (a+b)", "return a + b  # sum"),
    "parentheses": ("x = (1)\nreturn x", "x = 1\n\nreturn (x)"),
    "strings": ("return 'a' 'b'", 'return "ab"'),
    "numbers": ("return 1e3 + 0x10", "return 1000.0 + 16"),
    "docstrings": ('def g():\n    """Docs."""\n    return 1\nreturn g()', "def g():\n    return 1\nreturn g()"),
    "pass": ("if a:\n    pass\n    x()\nreturn 1", "if a:\n    x()\nreturn 1"),
    "bare constants": ("...\n1\nreturn a", "return a"),
    "locals": ("s = 0\nfor v in el:\n    s += v\nreturn s", "t = 0\nfor w in el:\n    t += w\nreturn t"),
    "comprehensions": ("return [i for i in el if i]", "return [k for k in el if k]"),
    "a local that may be a parameter": ("n = 1\nreturn n", "m = 1\nreturn m"),
    "both branches": ("if a:\n    x = 1\nelse:\n    x = 2\nreturn x", "if a:\n    y = 1\nelse:\n    y = 2\nreturn y"),
    "unpacking": ("a, *b = el\nreturn b, a", "x, *y = el\nreturn y, x"),
    "locals of inner functions": ("def g():\n    x = 1\n    return x\ng()", "def g():\n    y = 1\n    return y\ng()"),
    "with": ("with a as x:\n    return x", "with a as y:\n    return y"),
}  # fmt: skip

DIFFERENT = {
    "values": ("return 1", "return 2"),
    "types": ("return 1", "return 1.0"),
    "booleans": ("return 1", "return True"),
    "nothing folded": ("return 1 + 1", "return 2"),
    "operators": ("return a + b", "return a - b"),
    "grouping": ("return a - (b - c)", "return a - b - c"),
    "order": ("f()\ng()", "g()\nf()"),
    "nesting": ("if a:\n    f()\ng()", "if a:\n    f()\n    g()"),
    "else": ("for v in a:\n    f()\nelse:\n    g()", "for v in a:\n    f()\ng()"),
    "parameters": ("return a", "return b"),
    "a parameter that is changed": ("n += 1\nreturn n", "m += 1\nreturn m"),
    "a parameter that may be changed": ("if a:\n    n = 1\nreturn n", "if a:\n    m = 1\nreturn m"),
    "a parameter after a loop": ("for n in a:\n    f()\nreturn n", "for m in a:\n    f()\nreturn m"),
    "after a try": ("try:\n    n = f()\nexcept E:\n    a()\nn()", "try:\n    m = f()\nexcept E:\n    a()\nm()"),
    "globals": ("return len(a)", "return max(a)"),
    "attributes": ("return a.x", "return a.y"),
    "class attributes": ("class A:\n    x = 1\nreturn A", "class A:\n    y = 1\nreturn A"),
    "keywords": ("f = lambda x: x\nreturn f(x=1)", "f = lambda y: y\nreturn f(x=1)"),
    "imports": ("import math as m\nreturn m", "import cmath as m\nreturn m"),
    "which local": ("x = 1\ny = 2\nreturn x", "x = 1\ny = 2\nreturn y"),
    "one local or two": ("x = 1\nx = 2\nreturn x", "x = 1\ny = 2\nreturn x"),
    "names looked up by text": ("x = 1\nreturn locals()['x']", "y = 1\nreturn locals()['x']"),
    "slices": ("return a[1:]", "return a[:1]"),
    "deleted": ("x = 1\ndel x\nreturn x", "y = 1\ndel y\nreturn y"),
    "text like notation": ("return 'a', 'b'", "return \"a', 'b\""),
    "global or not": ("global x\nx = 1", "x = 1"),
    "None": ("return {None: a}", "return {**a}"),
    "negative zero": ("return 0.0", "return -0.0"),
    "formats": ("return f'{a!r}'", "return f'{a!s}'"),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_equivalent_functions_have_the_same_key(case: str) -> None:
    first, second = SAME[case]
    assert digest(first) == digest(second)


@pytest.mark.parametrize("case", DIFFERENT)
def test_functions_that_may_behave_differently_have_different_keys(case: str) -> None:
    first, second = DIFFERENT[case]
    assert digest(first) != digest(second)


def test_the_preamble_is_part_of_the_key() -> None:
    assert digest("return X", "X = 1\n") != digest("return X", "X = 2\n")
    assert digest("return X", "X = 1\n") == digest("return X", "# One.\nX  =  1\n")


def test_a_key_never_changes() -> None:
    # Keys are stored with runs: a run that is resumed or replayed years later must recognize its duplicates.
    body = (
        "x = {**a, None: 1.5}\nfor i in f(*el, k=2):\n    x[i:] = [-1, f'{b:>{n}}', b'\\x00', 1j, 2**70, ...]\nreturn x"
    )
    preamble = "import math as m\n\n\n@m.f\ndef g(a, /, *, b=1) -> int:\n    return lambda: a\n"
    assert digest(body, preamble) == "b4af2265a8f5b9645dd63371da31fb33"


def test_huge_integers_have_a_key() -> None:
    assert digest("return 0x" + "f" * 20_000) != digest("return 0x" + "f" * 20_001)


NAMES = st.sampled_from(["a", "b", "x", "y"])
EXPRESSIONS = st.one_of(
    NAMES, st.sampled_from(["1", "a + x", "[y for y in (1, 2)]", "sum(x for x in (a, b))", "(lambda: y)()"])
)


def indented(statements: list[str]) -> str:
    return "\n".join(f"    {line}" for statement in statements for line in statement.split("\n"))


SIMPLE = st.one_of(
    st.builds("{} = {}".format, NAMES, EXPRESSIONS),
    st.builds("{} += {}".format, NAMES, EXPRESSIONS),
    st.builds("({} := {})".format, NAMES, EXPRESSIONS),
    st.builds("del {}".format, NAMES),
    st.builds("return {}".format, EXPRESSIONS),
)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    blocks = st.lists(inner, min_size=1, max_size=2).map(indented)
    return st.one_of(
        st.builds("if {} == 1:\n{}".format, EXPRESSIONS, blocks),
        st.builds("if a:\n{}\nelse:\n{}".format, blocks, blocks),
        st.builds("for {} in (1, 2):\n{}".format, NAMES, blocks),
        st.builds("try:\n{}\nexcept Exception:\n{}".format, blocks, blocks),
        st.builds("def g():\n{}\nb = g()".format, blocks),
    )


STATEMENTS = st.recursive(SIMPLE, nested, max_leaves=4)


class Rename(ast.NodeTransformer):
    """Renames variables and nothing else."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self.names.get(node.id, node.id)
        return node


def outcome(body: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(f"def f(a, x):\n{indented(body.split(chr(10)))}\n", namespace)
    try:
        value = namespace["f"](1, 2)
    except Exception as error:
        return type(error)
    return "function" if callable(value) else copy.copy(value)


@settings(deadline=None)
@given(body=st.lists(STATEMENTS, min_size=1, max_size=4).map("\n".join), names=st.permutations(["a", "b", "x", "y"]))
def test_functions_with_the_same_key_have_the_same_outcome(body: str, names: list[str]) -> None:
    other = ast.unparse(Rename(dict(zip("abxy", names, strict=True))).visit(ast.parse(body)))
    if digest(body) == digest(other):
        assert outcome(body) == outcome(other)
