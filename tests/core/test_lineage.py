"""Lines of descent: the parent of each step, and what changed."""

import pytest

from funsearch.core.lineage import ancestors, difference, line_of_descent
from funsearch.core.records import ALL_ISLANDS, Evaluation, Function, Prompt, Sample, Status
from funsearch.core.specification import Specification

SPECIFICATION = Specification.parse('@funsearch.evolve\ndef f(x):\n    """Weighs."""\n    return x\n')


def evaluation(text: str, score: float | None, *parents: int) -> Evaluation:
    prompt = Prompt(
        index=0 if parents else ALL_ISLANDS, island=0, resets=0, text="", version=len(parents), parents=parents, after=0
    )
    status = Status.OK if score is not None else Status.RUNTIME_ERROR
    return Evaluation(
        sample=Sample(prompt=prompt, index=0, text=text, model="m", finish_reason="stop"),
        status=status,
        function=Function(text),
        key=text,
        score=score,
    )


FAMILY = [
    evaluation("    return x\n", 0.0),
    evaluation("    y = x * 2\n    return y\n", 1.0, 0),
    evaluation("    if x > 7:\n        return 0\n    return x\n", 2.0, 0),
    evaluation("    y = x * 3\n    return y\n", 5.0, 1, 2),
    evaluation("    y = x * 3 / 0\n    return y\n", None, 2, 3),
]


def test_parent_is_the_most_similar_program() -> None:
    line = line_of_descent(SPECIFICATION, 3, FAMILY.__getitem__)
    assert [(step.program, step.parent, step.gain) for step in line] == [(0, None, None), (1, 0, 1.0), (3, 1, 4.0)]
    assert line[0].diff == ""
    assert line[2].diff.splitlines() == [
        "--- program 1",
        "+++ program 3",
        "@@ -1,4 +1,4 @@",
        " def f(x):",
        '     """Weighs."""',
        "-    y = x * 2",
        "+    y = x * 3",
        "     return y",
    ]


def test_of_equally_similar_programs_the_better_one_is_the_parent() -> None:
    twins = [*FAMILY[:2], FAMILY[1], evaluation("    return 1\n", 9.0, 1, 2)]
    assert line_of_descent(SPECIFICATION, 3, twins.__getitem__)[-1].parent == 2


def test_step_without_a_score_has_no_gain() -> None:
    assert line_of_descent(SPECIFICATION, 4, FAMILY.__getitem__)[-1].gain is None


def test_ancestors_include_every_program_of_every_prompt() -> None:
    assert ancestors(4, FAMILY.__getitem__) == {0: (), 1: (0,), 2: (0,), 3: (1, 2), 4: (2, 3)}
    with pytest.raises(IndexError):
        ancestors(5, FAMILY.__getitem__)


def test_equal_programs_have_an_empty_diff() -> None:
    assert difference(SPECIFICATION, 0, FAMILY[0], 7, FAMILY[0]) == ""
