"""Procedurally generated reasoning with exact verifiers, from reasoning-gym: no file and no network."""

import importlib
import importlib.util
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from funsearch.core.ports import Sandbox
from funsearch.errors import TrainingError
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Grade, Graded, Split, Task
from funsearch.tasks.drafts import Draft, make_tasks

FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2},
    "gcd": {"max_numbers": 2, "max_value": 30},
    "count_bits": {"max_n": 31},
    "letter_counting": {"max_words": 5},
}
"""What is trained on when nothing is said, and how hard it is: a model of some 100 million parameters can begin."""
TRANSFER: Mapping[str, Mapping[str, Any]] = {
    "products": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
    "lcm": {"max_numbers": 2, "max_value": 12},
}
SPARE = 8
"""Generated beyond what is asked for in each family, to show as worked examples and to make up for repetitions."""


@dataclass(frozen=True, slots=True)
class ReasoningTasks:
    """Families of reasoning-gym, by its names."""

    name: str = "reasoning"
    stop: tuple[str, ...] = ("\n",)
    max_tokens: int = 64
    across_tasks: bool = False

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        trained = options.families or tuple(FAMILIES)
        transfer = options.transfer_families or tuple(family for family in TRANSFER if family not in trained)
        both = set(trained) & set(transfer)
        if both:
            raise TrainingError(f"tasks.families and tasks.transfer_families both have {min(both)}: take one out.")
        each = -(-(options.count + options.heldout) // len(trained)) + SPARE
        drafts = [
            draft
            for number, family in enumerate(trained)
            for draft in _drafts(family, _config(family, options), each, 1000 * seed + number, options, len(trained))
        ]
        if options.transfer and transfer:
            each = -(-options.transfer // len(transfer))
            for number, family in enumerate(transfer):
                some = _generate(family, _config(family, options), each, 1000 * seed + 500 + number)
                drafts += [Draft(*draft, split=Split.TRANSFER) for draft in some]
        counted = TaskOptions(options.count, options.heldout, options.transfer)
        shots = options.shots_for(chat)
        return make_tasks("reasoning", drafts, counted, seed, shots=shots, wording=_request if chat else _text)

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        return partial(_open, options)

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        return iter(())


class ReasoningVerifier:
    """Asks reasoning-gym itself. An answer is the first line, or what follows `Answer:` or stands in <answer> tags."""

    def __init__(self, options: TaskOptions) -> None:
        self._options = options
        self._datasets: dict[str, Any] = {}

    def grade(self, task: Task, text: str) -> Grade:
        family = task.reference["family"]
        if family not in self._datasets:
            self._datasets[family] = _dataset(family, _config(family, self._options), 1, 0)
        said = final_answer(text)
        # A verifier of reasoning-gym meets whatever a model wrote.
        try:
            score = float(self._datasets[family].score_answer(said, task.reference["entry"]))
        except Exception as error:
            return Grade(0.0, said, (said,), f"{type(error).__name__}: {error}")
        return Grade(float(score >= 1.0), said, (said,))

    def close(self) -> None:
        """Does nothing."""


def _open(options: TaskOptions, _sandbox: Callable[[], Sandbox]) -> Verifier:
    return ReasoningVerifier(options)


def final_answer(text: str) -> str:
    """Returns the part of an answer that counts."""
    if "<answer>" in text:
        return text.rpartition("<answer>")[2].partition("</answer>")[0].strip()
    if "Answer:" in text:
        text = text.rpartition("Answer:")[2]
    return text.strip().partition("\n")[0].strip()


def reasoning(argument: str, options: TaskOptions) -> ReasoningTasks:
    """Returns the task set `reasoning`."""
    if argument:
        raise TrainingError(
            f"reasoning:{argument}: write reasoning alone, and its families as --set tasks.families=\"('gcd',)\"."
        )
    return ReasoningTasks()


def _config(family: str, options: TaskOptions) -> Mapping[str, Any]:
    return options.config.get(family, FAMILIES.get(family, TRANSFER.get(family, {})))


def _drafts(
    family: str, config: Mapping[str, Any], count: int, seed: int, options: TaskOptions, families: int
) -> Iterator[Draft]:
    """Yields the tasks of a family to train on and to hold out; a question stands in one split only."""
    generated = _generate(family, config, count, seed)
    held = min(-(-options.heldout // families), len(generated) // 2)
    for number, draft in enumerate(generated):
        yield Draft(*draft, split=Split.HELDOUT if number < held else Split.TRAIN)


def _generate(
    family: str, config: Mapping[str, Any], count: int, seed: int
) -> list[tuple[str, str, str, str, dict[str, Any]]]:
    """Returns the fields of distinct drafts of a family, as many as asked for unless it has no more."""
    found: dict[str, tuple[str, str, str, str, dict[str, Any]]] = {}
    for number, entry in enumerate(_dataset(family, config, 3 * count, seed)):
        if len(found) == count:
            break
        question = str(entry["question"]).strip()
        plain = json.loads(json.dumps(entry, default=str))
        reference = {"family": family, "entry": plain}
        found.setdefault(question, (f"{family}/{number}", family, question, str(entry["answer"]), reference))
    return list(found.values())


def _dataset(family: str, config: Mapping[str, Any], size: int, seed: int) -> Any:
    if importlib.util.find_spec("reasoning_gym") is None:
        raise TrainingError(
            'The task set reasoning needs reasoning-gym, which is not installed: pip install "funsearch[train]".'
        )
    # Its dependencies are compiled with warnings when they are first imported.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gym = importlib.import_module("reasoning_gym")
    try:
        return gym.create_dataset(family, size=size, seed=seed, **config)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise TrainingError(
            f"reasoning-gym has no family {family} with the settings {dict(config)}: {str(error) or 'out of range'}."
        ) from None


def _text(shown: Sequence[Draft], draft: Draft) -> str:
    worked = "".join(f"Question: {one.question}\nAnswer: {one.solution}\n\n" for one in shown)
    return f"{worked}Question: {draft.question}\nAnswer:"


def _request(shown: Sequence[Draft], draft: Draft) -> str:
    worked = "".join(f"Question: {one.question}\nAnswer: {one.solution}\n\n" for one in shown)
    return f"{worked}{draft.question}\nAnswer with the final answer alone."
