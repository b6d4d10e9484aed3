"""Procedurally generated reasoning tasks with exact verifiers, from reasoning-gym; needs no file and no network."""

import importlib
import importlib.util
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from funsearch.core.ports import Sandbox
from funsearch.errors import TrainingError
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Grade, Graded, Split, Task
from funsearch.tasks.drafts import Draft, make_tasks

FAMILIES: Mapping[str, Mapping[str, object]] = {
    "chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
    "gcd": {"max_numbers": 2, "max_value": 30},
    "count_bits": {"max_n": 31},
    "letter_counting": {"max_words": 5},
}
"""The families that are trained on by default, with their difficulty: solvable for a model of some 100 million
parameters."""
TRANSFER: Mapping[str, Mapping[str, object]] = {
    "products": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
    "lcm": {"max_numbers": 2, "max_value": 12},
}
SPARE = 8
"""Extra tasks generated in each family, to serve as worked examples and to replace duplicates."""


class _Dataset(Protocol):
    """A dataset of reasoning-gym."""

    def __iter__(self) -> Iterator[Mapping[str, object]]: ...

    def score_answer(self, answer: str, entry: object) -> float: ...


@dataclass(frozen=True, slots=True)
class ReasoningTasks:
    """Families of reasoning-gym, under the names it gives them."""

    name: str = "reasoning"
    stop: tuple[str, ...] = ("\n",)
    max_tokens: int = 64
    across_tasks: bool = False

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        trained = options.families or tuple(FAMILIES)
        transfer = options.transfer_families or tuple(family for family in TRANSFER if family not in trained)
        shared = set(trained) & set(transfer)
        if shared:
            raise TrainingError(
                f"tasks.families and tasks.transfer_families both have {min(shared)}: remove it from one of them."
            )
        each = -(-(options.count + options.heldout) // len(trained)) + SPARE
        heldout = -(-options.heldout // len(trained))
        drafts: list[Draft] = []
        for number, family in enumerate(trained):
            generated = _generate(family, _config(family, options), each, 1000 * seed + number)
            drafts += _held_out(generated, heldout)
        if options.transfer and transfer:
            each = -(-options.transfer // len(transfer))
            for number, family in enumerate(transfer):
                generated = _generate(family, _config(family, options), each, 1000 * seed + 500 + number)
                drafts += [replace(draft, split=Split.TRANSFER) for draft in generated]
        counts = TaskOptions(count=options.count, heldout=options.heldout, transfer=options.transfer)
        shots = options.shots_for(chat)
        return make_tasks("reasoning", drafts, counts, seed, shots=shots, wording=_request if chat else _text)

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        return partial(_open, options)

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        return iter(())


class ReasoningVerifier:
    """Grades with reasoning-gym. The answer is the first line, the text after `Answer:`, or that in <answer> tags."""

    def __init__(self, options: TaskOptions) -> None:
        self._options = options
        self._datasets: dict[str, _Dataset] = {}

    def grade(self, task: Task, text: str) -> Grade:
        family = str(task.reference["family"])
        if family not in self._datasets:
            self._datasets[family] = _dataset(family, _config(family, self._options), 1, 0)
        answer = final_answer(text)
        # A verifier of reasoning-gym may raise anything on what a model wrote.
        try:
            score = float(self._datasets[family].score_answer(answer, task.reference["entry"]))
        except Exception as error:
            return Grade(0.0, answer, (answer,), f"{type(error).__name__}: {error}")
        return Grade(float(score >= 1.0), answer, (answer,))

    def close(self) -> None:
        """Does nothing."""


def _open(options: TaskOptions, _sandbox: Callable[[], Sandbox]) -> Verifier:
    return ReasoningVerifier(options)


def final_answer(text: str) -> str:
    """Returns the part of an answer that is graded."""
    if "<answer>" in text:
        return text.rpartition("<answer>")[2].partition("</answer>")[0].strip()
    if "Answer:" in text:
        text = text.rpartition("Answer:")[2]
    return text.strip().partition("\n")[0].strip()


def reasoning(argument: str, options: TaskOptions) -> ReasoningTasks:
    """Returns the task set `reasoning`."""
    if argument:
        raise TrainingError(
            f"reasoning:{argument}: write only reasoning, and give its families as --set tasks.families=\"('gcd',)\"."
        )
    return ReasoningTasks()


def _config(family: str, options: TaskOptions) -> Mapping[str, object]:
    return options.config.get(family, FAMILIES.get(family, TRANSFER.get(family, {})))


def _held_out(drafts: Sequence[Draft], count: int) -> list[Draft]:
    """Returns the drafts of a family, the first `count` of them (at most half) held out and the others to train on."""
    heldout = min(count, len(drafts) // 2)
    return [
        replace(draft, split=Split.HELDOUT if number < heldout else Split.TRAIN) for number, draft in enumerate(drafts)
    ]


def _generate(family: str, config: Mapping[str, object], count: int, seed: int) -> list[Draft]:
    """Returns `count` drafts of a family with distinct questions, fewer if the family does not have that many."""
    by_question: dict[str, Draft] = {}
    for number, entry in enumerate(_dataset(family, config, 3 * count, seed)):
        if len(by_question) == count:
            break
        question = str(entry["question"]).strip()
        reference = {"family": family, "entry": json.loads(json.dumps(entry, default=str))}
        by_question.setdefault(
            question,
            Draft(
                key=f"{family}/{number}",
                family=family,
                question=question,
                solution=str(entry["answer"]),
                reference=reference,
            ),
        )
    return list(by_question.values())


def _dataset(family: str, config: Mapping[str, object], size: int, seed: int) -> _Dataset:
    if importlib.util.find_spec("reasoning_gym") is None:
        raise TrainingError(
            'The task set reasoning needs reasoning-gym, which is not installed: pip install "funsearch[train]".'
        )
    # The first import compiles its dependencies, which emits warnings.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gym = importlib.import_module("reasoning_gym")
    try:
        dataset: _Dataset = gym.create_dataset(family, size=size, seed=seed, **config)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise TrainingError(
            f"reasoning-gym has no family {family} with the settings {dict(config)}: {str(error) or 'out of range'}."
        ) from None
    return dataset


def _text(examples: Sequence[Draft], draft: Draft) -> str:
    return f"{_worked(examples)}Question: {draft.question}\nAnswer:"


def _request(examples: Sequence[Draft], draft: Draft) -> str:
    return f"{_worked(examples)}{draft.question}\nAnswer with the final answer alone."


def _worked(examples: Sequence[Draft]) -> str:
    return "".join(f"Question: {draft.question}\nAnswer: {draft.solution}\n\n" for draft in examples)
