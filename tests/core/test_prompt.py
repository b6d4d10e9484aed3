"""Best-shot prompts, compared with golden files that reviewers can read."""

from pathlib import Path

import pytest

from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Function
from funsearch.core.specification import Specification

GOLDEN = Path(__file__).parent / "golden"

COUNTING = Function(body="    zeros = el.count(0)\n    return zeros / n\n")
RECURSIVE = Function(
    body='    priority_of_rest = priority(el[1:], n) if el else 0.0\n    """priority"""\n'
    "    return WEIGHTS[el[0]] + priority_of_rest if el else 0.0\n",
    preamble="import math\n\nWEIGHTS = [1.0, math.pi, math.e]\n",
)


def parse(name: str) -> Specification:
    return Specification.parse((GOLDEN / f"{name}.py.txt").read_text())


@pytest.mark.parametrize(
    ("golden", "name", "functions"),
    [
        ("cap_set.first", "cap_set", None),
        ("cap_set.two", "cap_set", [COUNTING, RECURSIVE]),
        ("bin_packing.first", "bin_packing", None),
        ("reference_format.first", "reference_format", None),
    ],
)
def test_prompts_match_the_golden_files(golden: str, name: str, functions: list[Function] | None) -> None:
    specification = parse(name)
    assert (
        best_shot_prompt(specification, functions or [specification.first])
        == (GOLDEN / f"{golden}.prompt.txt").read_text()
    )


def test_notes_are_shown_above_their_program() -> None:
    specification = parse("cap_set")
    prompt = best_shot_prompt(
        specification, [COUNTING, RECURSIVE, COUNTING], ["", "n8: 448\n\nslow\x0con n7", "x" * 999]
    )
    assert "\n\n# n8: 448\n# slow\n# on n7\nimport math\n" in prompt
    assert f"\n\n# {'x' * 400} ...\ndef priority_v2(" in prompt
    assert prompt.replace(f"# {'x' * 400} ...\n", "").replace("# n8: 448\n# slow\n# on n7\n", "") == (
        best_shot_prompt(specification, [COUNTING, RECURSIVE, COUNTING])
    )


def test_a_base_model_can_continue_the_prompt() -> None:
    prompt = best_shot_prompt(parse("cap_set"), [COUNTING, COUNTING, COUNTING])
    assert prompt.endswith(
        "def priority_v3(el: tuple[int, ...], n: int) -> float:\n"
        '    """Improved version of `priority_v2`."""\n'
    )  # fmt: skip
    namespace: dict[str, object] = {}
    exec(prompt + "    return 1.0\n", namespace)
    assert {"priority_v0", "priority_v1", "priority_v2", "priority_v3"} <= namespace.keys()


def test_a_variable_with_the_name_of_the_function_is_not_renamed() -> None:
    function = Function(body="    priority = sum(el)\n    return priority / n\n")
    assert function.body in best_shot_prompt(parse("cap_set"), [function])


def test_prompt_without_programs_asks_for_version_0() -> None:
    assert best_shot_prompt(parse("cap_set"), []).endswith(
        "def priority_v0(el: tuple[int, ...], n: int) -> float:\n"
        '    """Returns the priority with which to add `el` to the cap set."""\n'
    )  # fmt: skip


def test_a_file_that_begins_with_its_function_has_no_preface() -> None:
    specification = Specification.parse("@funsearch.evolve\ndef f(x):\n  return x\n")
    assert best_shot_prompt(specification, [specification.first]) == (
        'def f_v0(x):\n    return x\n\n\ndef f_v1(x):\n    """Improved version of `f_v0`."""\n'
    )
