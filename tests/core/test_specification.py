"""Parsing problem files and splicing functions into them."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from funsearch.core.records import Function
from funsearch.core.specification import Specification
from funsearch.errors import ProblemError

GOLDEN = Path(__file__).parent / "golden"
FILES = ("cap_set", "bin_packing", "reference_format")
MINIMAL = "import funsearch\n\n\n@funsearch.evolve\ndef f(x):\n    return x\n"


def parse(name: str) -> Specification:
    return Specification.parse((GOLDEN / f"{name}.py.txt").read_text(), f"{name}.py")


def load(source: str, **names: Any) -> dict[str, Any]:
    namespace = {"__name__": "candidate", **names}
    exec(compile(source, "<program>", "exec"), namespace)
    return namespace


def test_a_specification_has_the_names_parameters_and_title_of_the_file() -> None:
    cap_set, reference = parse("cap_set"), parse("reference_format")

    assert (cap_set.name, cap_set.parameters, cap_set.entry, cap_set.entry_parameters) == (
        "priority",
        ("el", "n"),
        None,
        0,
    )
    assert cap_set.title.startswith("Finds large cap sets")
    assert cap_set.first == Function(body="    return 0.0\n")
    assert (reference.entry, reference.entry_parameters) == ("evaluate", 1)


def test_a_body_indented_by_two_spaces_is_reindented_with_its_comments() -> None:
    assert parse("bin_packing").first.body == (
        "    # Best fit,\n"
        "    #   with a twist for tall items.\n"
        "    if item > TALLEST:\n"
        "        return -(bins -\n"
        "                 item)\n"
        "    return -(bins - item) / CAPACITY\n"
    )


@pytest.mark.parametrize("name", FILES)
def test_programs_match_the_golden_files(name: str) -> None:
    specification = parse(name)
    assert specification.program(specification.first) == (GOLDEN / f"{name}.program.txt").read_text()


def test_the_trusted_side_matches_the_golden_file() -> None:
    assert parse("reference_format").trusted() == (GOLDEN / "reference_format.trusted.txt").read_text()


@pytest.mark.parametrize(
    ("name", "value"), [("cap_set", 3), ("bin_packing", [7, 2, 5, 3, 6, 1, 4, 8]), ("reference_format", 20)]
)
def test_the_first_program_behaves_like_the_file(name: str, value: Any) -> None:
    specification = parse(name)
    program = load(specification.program(specification.first))
    assert program["solve"](value) == load(specification.source)["solve"](value)


def test_the_skeleton_calls_the_spliced_function() -> None:
    specification = parse("bin_packing")
    worst_fit = Function(body="    return bins - item + ZERO\n", preamble="ZERO = 0\n")
    items = [5, 5, 4, 4, 1, 1]

    worst = load(specification.program(worst_fit))["solve"](items)

    assert worst > load(specification.program(specification.first))["solve"](items)


def test_the_trusted_side_can_score_a_proxy() -> None:
    calls = []
    trusted = load(parse("reference_format").trusted(), priority=lambda k, n: calls.append(k) or 0.0)

    assert trusted["evaluate"](5) == len(trusted["solve"](5))
    assert sorted(set(calls)) == [0, 1, 2, 3, 4]


def test_a_program_contains_neither_funsearch_nor_the_entry_function() -> None:
    program = parse("reference_format").program(Function(body="    return 0.0\n"))
    assert "funsearch" not in program
    assert "evaluate" not in program


@pytest.mark.parametrize(
    ("imports", "decorator"),
    [
        ("import funsearch", "@funsearch.evolve"),
        ("import funsearch", "@funsearch.evolve()"),
        ("import funsearch as fs", "@fs.evolve"),
        ("import math, funsearch", "@funsearch.evolve"),
        ("import funsearch; import math", "@funsearch.evolve"),
        ("from funsearch import evolve", "@evolve"),
        ("from funsearch import (\n    evolve as grow,\n    run,\n)", "@grow"),
        ("try:\n    import funsearch\nexcept ImportError:\n    raise", "@funsearch.evolve"),
        ("", "@funsearch.evolve"),
    ],
)
def test_every_form_of_import_of_the_decorator_is_recognized_and_removed(imports: str, decorator: str) -> None:
    specification = Specification.parse(f"{imports}\n\n{decorator}\ndef f(x):\n  return x + 1\n")
    program = specification.program(specification.first)

    assert "funsearch" not in program
    assert load(program)["f"](1) == 2
    assert ("math" in load(program)) == ("math" in imports)


def test_other_decorators_defaults_and_keywords_are_kept() -> None:
    specification = Specification.parse(
        "import functools\n\n@functools.cache\n@funsearch.evolve\n"
        "def f(x, /, y: int = {1: 2}[1], *rest, z=3, **more) -> int:  # header\n    return x + y + z\n"
    )
    assert specification.parameters == ("x", "y")
    program = load(specification.program(specification.first))
    assert program["f"](1, z=4) == 7
    assert program["f"].cache_info().misses == 1


def test_a_future_import_of_the_file_applies_to_the_program() -> None:
    specification = Specification.parse("from __future__ import annotations\n" + MINIMAL.replace("(x)", "(x: Later)"))
    assert load(specification.program(specification.first))["f"](2) == 2


def test_a_function_can_be_shown_with_another_name_and_docstring() -> None:
    specification = parse("reference_format")
    function = Function(body="    return priority(k, n) + BASE\n", preamble="BASE = 2\n")

    assert specification.function_source(function, "priority_v7", "Improved.") == (
        "BASE = 2\n\n\n"
        "def priority_v7(k: int, n: int) -> float:\n"
        '    """Improved."""\n'
        "    return priority_v7(k, n) + BASE\n"
    )


def test_line_endings_and_a_byte_order_mark_are_normalised() -> None:
    windows = Specification.parse("\ufeff" + MINIMAL.replace("\n", "\r\n"))
    assert windows.program(windows.first) == Specification.parse(MINIMAL).program(windows.first)


def test_a_docstring_on_the_same_line_is_not_part_of_the_body() -> None:
    specification = Specification.parse("@funsearch.evolve\ndef f(x): 'Doubles.'; y = x; return 2 * y\n")
    assert specification.first.body == "    y = x; return 2 * y\n"
    assert load(specification.program(specification.first))["f"](2) == 4


def test_specifications_can_be_pickled() -> None:
    specification = parse("cap_set")
    assert pickle.loads(pickle.dumps(specification)) == specification


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "No @funsearch.evolve in my.py: decorate the function to evolve."),
        ("def f():\n    return 1\n", "No @funsearch.evolve in my.py"),
        ("import other\n\n@other.evolve\ndef f():\n    return 1\n", "No @funsearch.evolve"),
        ("x = 1\ndef f(:\n", r"^my.py:2: invalid syntax"),
        (MINIMAL.replace("return x", "break"), "^my.py:6: 'break' outside loop"),
        (
            MINIMAL + MINIMAL.replace("f(", "g("),
            r"@funsearch.evolve is on f \(line 5\) and g \(line 11\): decorate only one",
        ),
        (MINIMAL.replace("def", "async def"), r"^my.py:5: @funsearch.evolve is on f, which is an async function"),
        ("class A:\n    @funsearch.evolve\n    def f(self):\n        return 1\n", "is a method or a nested function"),
        ("@funsearch.evolve\nclass A:\n    x = 1\n", "on A, which is a class"),
        (MINIMAL.replace("return x", "pass"), r"^my.py:5: f has an empty body: write a first version"),
        (MINIMAL.replace("return x", '"""Docs."""'), "f has an empty body"),
        (MINIMAL.replace("@funsearch.evolve", "@funsearch.run\n@funsearch.evolve"), "f has both"),
        (MINIMAL + "@funsearch.run\ndef g(): pass\n@funsearch.run\ndef h(): pass\n", "run is on g .* and h"),
        (MINIMAL.replace("return x", "return " + "-" * 100_000 + "x"), "my.py: nested too deeply"),
    ],
)
def test_an_invalid_file_is_refused_with_a_remedy(source: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        Specification.parse(source, "my.py")
