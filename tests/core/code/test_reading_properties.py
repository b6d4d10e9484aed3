"""Reading any text yields a function that compiles, or a reason why it cannot be read."""

import random
import warnings
from contextlib import suppress
from pathlib import Path

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from funsearch.core.code.identity import key
from funsearch.core.code.reading import UnreadableCompletion, read_completion, read_file
from funsearch.core.code.source import block_text, parse_block
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function
from funsearch.core.specification import Specification

GOLDEN = Path(__file__).parents[1] / "golden"
SPECIFICATIONS = [Specification.parse(path.read_text()) for path in sorted(GOLDEN.glob("*.py.txt"))]
SOURCES = [path.read_text() for path in sorted((Path(__file__).parents[3] / "funsearch" / "core").rglob("*.py"))]
SOURCES += [(GOLDEN / "answers.txt").read_text(), (GOLDEN / "continuations.txt").read_text()]

WORDS = (
    *("def priority_v1(", "def priority_v2(item, bins):", "def priority(a, b):", "return ", "return 1", "x = ", "x"),
    *("priority", "priority_v0", "priority_v2(", "if x:", "else:", "for a in b:", "try:", "finally:", "except:", "1"),
    *("(", ")", "[", "]", "{", "}", ":", ",", ";", "\\", "'", '"', '"""', "'''", "f'{", "}'", "#", "@", "=", "lambda:"),
    *("```", "```python", "</think>", "import math", "from x import y", "class A:", "pass", "...", "yield", "await "),
    *("break", "global x", "nonlocal x", "async ", "match x:", "case _:", "-", "not ", "*", "**", ":=", "é", "\ufeff"),
    *("\n", "\n", "\n", "\n    ", "\n    ", "\n  ", "\n        ", "\n\t", "\r", "\f", "\0", "\ud800", " ", "    "),
)  # fmt: skip
SOUP = st.lists(st.sampled_from(WORDS), max_size=60).map("".join)
TEXT = st.text(st.characters(), max_size=200)
DEEP = st.builds(lambda word, n: word * n, st.sampled_from(WORDS), st.integers(1, 3000))
SLICES = st.builds(
    lambda source, begin, size: source[begin : begin + size],
    st.sampled_from(SOURCES), st.integers(0, 10_000), st.integers(0, 3000),
)  # fmt: skip
COMPLETIONS = st.one_of(SOUP, TEXT, SLICES, DEEP, st.tuples(SLICES, SOUP, SLICES, DEEP).map("".join))


def check(specification: Specification, function: Function) -> None:
    function.body.encode()
    function.preamble.encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(specification.program(function), "<program>", "exec")
    assert best_shot_prompt(specification, [function, function])
    assert key(function)


@settings(deadline=None)
@given(specification=st.sampled_from(SPECIFICATIONS), text=COMPLETIONS, version=st.integers(1, 3))
@example(SPECIFICATIONS[0], "\n\nx", 1)
def test_any_completion_is_read_or_refused(specification: Specification, text: str, version: int) -> None:
    with suppress(UnreadableCompletion):
        check(specification, read_completion(specification, text, version))


@settings(deadline=None)
@given(specification=st.sampled_from(SPECIFICATIONS), text=COMPLETIONS)
def test_any_file_is_read_or_refused(specification: Specification, text: str) -> None:
    with suppress(UnreadableCompletion):
        check(specification, read_file(specification, text))


@settings(deadline=None)
@given(specification=st.sampled_from(SPECIFICATIONS), text=COMPLETIONS)
def test_reading_a_function_again_leaves_it_unchanged(specification: Specification, text: str) -> None:
    try:
        function = read_completion(specification, text, 2)
    except UnreadableCompletion:
        return
    assume("priority_v" not in function.body + function.preamble)  # A later version, which a file must not call.
    answer = f"```\n{specification.function_source(function)}\n```"
    again = read_file(specification, specification.function_source(function))
    assert again.body == function.body
    assert key(again) == key(function)
    assert "```" in function.body or read_completion(specification, answer, 2).body == function.body


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), width=st.sampled_from([1, 2, 3, 8]))
def test_indentation_comments_and_blank_lines_do_not_change_the_key(seed: int, width: int) -> None:
    chance = random.Random(seed)
    body = (
        "    total = 0\n    for v in el:\n        if v > n:\n            total += v\n        else:\n"
        "            total -= (v +\n                      n)\n    text = '''\n  a\n'''\n    return total * len(text)\n"
    )
    lines = []
    for line in body.split("\n"):
        if chance.random() < 0.5 and "a" != line.strip() != "'''":
            lines.append(chance.choice(["", "# why", "      # so"]))
        margin = len(line) - len(line.lstrip())
        lines.append(line if line in ("  a", "'''") else " " * (margin // 4 * width) + line.lstrip())
    function = read_completion(SPECIFICATIONS[1], "\n".join(lines), 2)
    assert key(function) == key(Function(body))


@settings(deadline=None)
@given(source=st.sampled_from(SOURCES[:-2]))
def test_reindenting_code_with_four_spaces_leaves_it_unchanged(source: str) -> None:
    block = parse_block(source.split("\n"))
    assert block is not None
    text = block_text(block.lines, block.statements, depth=0)
    assert text.split() == source.split()
    assert text.strip() == source.strip()
