"""Builders of evaluations and programs for tests of the programs database."""

from collections.abc import Sequence

from funsearch.core.records import ALL_ISLANDS, Evaluation, Function, Program, Prompt, Sample, Status

FIRST = Prompt(index=ALL_ISLANDS, island=ALL_ISLANDS, resets=0, text="", version=0, parents=(), after=0)


class Bodies:
    """Builds prompts that consist of the bodies of their functions."""

    def __call__(self, functions: Sequence[Function], notes: Sequence[str] = ()) -> str:
        return "|".join(function.body for function in functions) + "".join(f"#{text}" for text in notes)


def evaluation(prompt: Prompt, body: str, *scores: float, status: Status = Status.OK) -> Evaluation:
    named = dict(zip(("a", "b"), scores, strict=False))
    return Evaluation(
        sample=Sample(prompt=prompt, index=0, text=body, model="m", finish_reason="stop"),
        status=status,
        function=Function(body),
        key=body,
        scores=named,
    )


def on(number: int, resets: int = 0) -> Prompt:
    return Prompt(index=0, island=number, resets=resets, text="", version=1, parents=(), after=0)


def program(id: int, score: float, length: int = 10, key: str = "") -> Program:
    return Program(id=id, function=Function("x" * length), scores=(score,), score=score, island=0, parents=(), key=key)
