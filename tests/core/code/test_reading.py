"""Reading functions from completions and files, as models and people write them in practice."""

import threading
from pathlib import Path

import pytest

from funsearch.core.code.reading import UnreadableCompletion, read_completion, read_file
from funsearch.core.records import Function
from funsearch.core.specification import Specification

GOLDEN = Path(__file__).parents[1] / "golden"
SPECIFICATION = Specification.parse((GOLDEN / "cap_set.py.txt").read_text())
RETURN = "    return 1.0\n"
LOOP = "    total = 0\n    for v in el:\n        if v:\n            total += v\n    return total / n\n"


def read(text: str, version: int = 2) -> Function:
    function = read_completion(SPECIFICATION, text, version)
    compile(SPECIFICATION.program(function), "<program>", "exec")
    return function


HEADER = "def priority_v2(el: tuple[int, ...], n: int) -> float:\n"


def golden_cases(name: str) -> dict[str, tuple[str, Function]]:
    """Returns the completions in a golden file with the functions that should be read from them."""
    cases = {}
    for case in (GOLDEN / name).read_text().split("#### ")[1:]:
        head, body = case.split("---- body\n")
        title, _, text = head.partition("\n")
        text, _, preamble = text.partition("---- preamble\n")
        cases[title] = (text, Function(body, preamble))
    return cases


CASES = golden_cases("continuations.txt") | golden_cases("answers.txt")


@pytest.mark.parametrize("case", CASES)
def test_completions_are_read_as_in_the_golden_files(case: str) -> None:
    text, function = CASES[case]
    assert read(text) == function


@pytest.mark.parametrize("text", [text for text, _ in CASES.values()])
def test_reading_does_not_depend_on_the_last_newline(text: str) -> None:
    assert read(text.rstrip("\n")) == read(text)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("return 1.0", RETURN),
        ("\ttotal = 0\n\tfor v in el:\n\t\tif v:\n\t\t\ttotal += v\n\treturn total / n\n", LOOP),
        (LOOP.replace("\n", "\r\n"), LOOP),
        ("    return\0 1.0\n\0\0", RETURN),
        (f"    # \ud800\n{RETURN}", f"    # \ufffd\n{RETURN}"),
    ],
    ids=["one line", "tabs", "windows", "NUL bytes", "lone surrogate"],
)
def test_characters_that_do_not_fit_in_a_golden_file_are_read(text: str, body: str) -> None:
    assert read(text) == Function(body)


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_reading_does_not_emit_compiler_warnings() -> None:
    assert read("    return len('\\d') is 2\n").body == "    return len('\\d') is 2\n"


UNREADABLE = {
    "nothing": ("", "no body of priority"),
    "blank": (" \n\n\t\n", "no body of priority"),
    "prose": ("I cannot help with that. It's hard.", "no body of priority"),
    "prose that is Python": ("This is better\n", "no body of priority"),
    "docstring": ('    """Returns."""\n', "no body of priority"),
    "pass": ("    pass\n", "no body of priority"),
    "ellipsis": (f"```\n{HEADER}    ...\n```", "no body of priority"),
    "comments": ("    # TODO\n    # more\n", "no body of priority"),
    "imports": ("    import math\n", "no body of priority"),
    "calls an ancestor": ("    return priority_v1(el, n) + 1\n", "calls the earlier version priority_v1"),
    "refers to an ancestor": ("    f = priority_v0\n    return f(el, n)\n", "calls the earlier version priority_v0"),
    "ancestor in a helper": (f"```\ndef g():\n    priority_v0()\n{HEADER}    return g()\n```", "earlier version"),
    "ancestor in disguise": ("    return ｐriority_v1(el, n)\n", "calls the earlier version priority_v1"),  # noqa: RUF001
    "repeated ancestors": (
        f"```\ndef priority_v0(el, n):\n    return 0\n\n{HEADER}    return priority_v0(el, n)\n```",
        "calls the earlier version priority_v0",
    ),
    "too few parameters": ("```\ndef priority_v2(el):\n    return 1\n```", "takes el, but priority takes el, n"),
    "too many parameters": ("```\ndef priority_v2(self, el, n):\n    return 1\n```", "takes self, el, n, but"),
    "a keyword": ("```\ndef priority_v2(el, n, *, k):\n    return 1\n```", "requires k, which priority does not take"),
    "async": ("```\nasync def priority_v2(el, n):\n    return 1\n```", "priority_v2 is an async function"),
    "break outside of a loop": ("    x = 1\n    break\n", "'break' outside loop"),
    "global parameter": ("    global el\n    el = 1\n    return el\n", "name 'el' is parameter and global"),
    "recursion hidden by a variable": ("    priority = 1\n    return priority_v2(el, n)\n", "has a variable priority"),
    "parentheses": ("    return " + "(" * 100_000, "no body of priority"),
    "closed parentheses": ("    return " + "(" * 30_000 + "1" + ")" * 30_000, "no body of priority"),
    "unary minuses": ("    return " + "-" * 100_000 + "1\n", "no body of priority"),
    "deep but valid": ("    return " + "-" * 500 + "1\n", "nested too deeply"),
    "deep default": (f"```\ndef priority_v2(el, n, x={'-' * 1500}1):\n    return x\n```", "nested too deeply"),
    "long sum": ("    return " + "1 + " * 1000 + "1\n", "nested too deeply"),
    "digits": ("    return " + "9" * 5000, "no body of priority"),
    "decorators": ("@a\n" * 30_000, "no body of priority"),
    "finally in finally": (
        "".join(f"{' ' * i}try: x = 1\n{' ' * i}finally:\n" for i in range(1, 19)) + " " * 19 + "return 1\n",
        "too many finally blocks",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_completion_is_refused_with_a_reason(case: str) -> None:
    text, reason = UNREADABLE[case]
    with pytest.raises(UnreadableCompletion, match=reason):
        read(text)


def test_an_overlong_completion_is_truncated() -> None:
    assert read("    x = 1\n" * 100_000).body.startswith("    x = 1\n    x = 1\n")


def test_ordinary_finally_blocks_are_accepted() -> None:
    body = "    try:\n        n += 1\n    finally:\n        n -= 1\n" * 12 + "    return n\n"
    assert read(body).body == body


def test_deep_nesting_is_refused_even_on_a_small_stack() -> None:
    reasons: list[str] = []

    def attempt() -> None:
        for text in ("-" * 100_000, "(" * 100_000, "lambda: " * 10_000, "1+" * 30_000, "a." * 30_000, "not " * 20_000):
            with pytest.raises(UnreadableCompletion) as caught:
                read(f"    return {text}1\n")
            reasons.append(str(caught.value))

    size = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert len(reasons) == 6


def test_only_earlier_versions_count_as_ancestors() -> None:
    assert read("    return priority_v3\n", version=3).body == "    return priority\n"
    with pytest.raises(UnreadableCompletion, match="priority_v3"):
        read("    return priority_v3\n", version=4)


def test_repetitions_of_the_skeleton_are_dropped() -> None:
    specification = Specification.parse(
        "import funsearch\n\nSIZE = 3\nTABLE = [i * i for i in range(9)]\n\n\ndef helper(x):\n    return x\n\n\n"
        "@funsearch.evolve\ndef f(x):\n    return helper(x)\n"
    )
    answer = (
        "```\nSIZE = 1000\nW = [i for i in (1, 2)]\nNote: this\n\ndef helper(x):\n    return 7\n\n"
        "def f_v1(x):\n    return W[SIZE]\n```"
    )
    assert read_completion(specification, answer, 1) == Function("    return W[SIZE]\n", "W = [i for i in (1, 2)]\n")


FILES = {
    "its own name": (f"def priority(el, n):\n{RETURN}", "", RETURN),
    "a version": ("def priority_v4(el, n):\n    return priority_v4(el, 0)\n", "", "    return priority(el, 0)\n"),
    "all code above": (
        "'''A file.'''\nimport funsearch\nimport numpy as np\n\nTABLE = {}\nfor i in range(3):\n  TABLE[i] = i\n\n"
        f"@funsearch.evolve\ndef priority(el, n):\n{RETURN}\nif __name__ == '__main__':\n    print(1)\n",
        "TABLE = {}\nfor i in range(3):\n    TABLE[i] = i\n",
        RETURN,
    ),
    "the problem file": (SPECIFICATION.source, "", "    return 0.0\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_read(case: str) -> None:
    text, preamble, body = FILES[case]
    assert read_file(SPECIFICATION, text) == Function(body, preamble)


def test_function_source_can_be_read_again() -> None:
    function = Function(body="    return g(priority, el)\n", preamble="def g(f, x):\n    return x\n")
    assert read_file(SPECIFICATION, SPECIFICATION.function_source(function)) == function


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\n", "contains no function priority"),
        ("def other(el, n):\n    return 1\n", "contains no function priority"),
        (f"def priority(el, n):\n{RETURN}    return (1 +\n", r"^line 3: '\(' was never closed"),
        ("def priority(el, n):\n    return priority_v0(el, n)\n", "calls the earlier version priority_v0"),
        ("#" * 70_000, "has 70000 characters; at most 65536 are allowed"),
        ("-" * 60_000 + "1", "nested too deeply"),
    ],
)  # fmt: skip
def test_a_file_is_read_strictly(text: str, reason: str) -> None:
    with pytest.raises(UnreadableCompletion, match=reason):
        read_file(SPECIFICATION, text)
