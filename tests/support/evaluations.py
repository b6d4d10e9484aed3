"""Builders of evaluations and programs for tests of the programs database."""

from collections.abc import Sequence

from funsearch.core.records import ALL_ISLANDS, Evaluation, Function, Program, Prompt, Sample, Status

FIRST = Prompt(ALL_ISLANDS, ALL_ISLANDS, 0, "", 0, (), 0)


class Bodies:
    """Builds prompts that consist of the bodies of their functions."""

    def __call__(self, functions: Sequence[Function], notes: Sequence[str] = ()) -> str:
        return "|".join(function.body for function in functions) + "".join(f"#{text}" for text in notes)


def evaluation(prompt: Prompt, body: str, *scores: float, status: Status = Status.OK) -> Evaluation:
    named = dict(zip(("a", "b"), scores, strict=False))
    return Evaluation(Sample(prompt, 0, body, "m", "stop"), status, Function(body), body, named)


def on(number: int, resets: int = 0) -> Prompt:
    return Prompt(0, number, resets, "", 1, (), 0)


def program(id: int, score: float, length: int = 10, key: str = "") -> Program:
    return Program(id, Function("x" * length), (score,), score, 0, (), key)
