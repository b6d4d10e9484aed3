"""The samples of a search as tasks: write a program that beats those shown in the prompt.

Reward is improvement over the best program in the prompt, beyond a threshold. Families are islands, and whole islands
are held out, so that no lineage is on both sides, until a reset founds an island with another's program.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from funsearch.core.ports import RunReader, Sandbox
from funsearch.core.records import Evaluation, Limits, Prompt, Sample
from funsearch.errors import TrainingError
from funsearch.loading import InputText, ProblemSource, load
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Phase, Split, Task

HELD_SHARE = 0.25
"""Of the islands; of the prompts, where there is one island only."""


UNKNOWN_TOKENS = 256
"""Of an answer at most, where the samples of the search do not tell how long they are."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sample of a search."""

    sample: Sample
    score: float | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchTasks:
    """The prompts of a search that showed a program with a score."""

    run: str
    source: ProblemSource
    limits: Limits
    prompts: tuple[Prompt, ...]
    """Distinct by text."""
    shown: tuple[float, ...]
    """Best score among the programs that each prompt shows."""
    attempts: tuple[tuple[Attempt, ...], ...]
    """What the search got to each."""
    stop: tuple[str, ...]
    """What ends a sample of the search."""
    request: Callable[[str], str] = field(repr=False)
    """Makes of a prompt what a chat model is sent."""
    name: str = "run"
    max_tokens: int = UNKNOWN_TOKENS
    """The longest answer that the search got, where that is known."""
    across_tasks: bool = True

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        threshold = self.threshold(options.tau)
        order = np.random.default_rng((seed, 31)).permutation(len(self.prompts)).tolist()
        held = self._held(order, seed)
        splits = {
            Split.TRAIN: [i for i in order if i not in held][: options.count],
            Split.HELDOUT: [i for i in order if i in held][: options.heldout],
        }
        for split, what in ((Split.TRAIN, "to train on"), (Split.HELDOUT, "to hold out")):
            if not splits[split]:
                raise TrainingError(
                    f"The run {self.run} has no prompt {what} ({len(self.prompts)} that show a program): let it run on "
                    f"with `funsearch resume {self.run}`."
                )
        chosen = [(split, int(i)) for split, several in splits.items() for i in several]
        return [self._task(index, i, split, threshold, chat) for index, (split, i) in enumerate(chosen)]

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        return partial(_open, self.source, self.limits)

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        place = {prompt.index: number for number, prompt in enumerate(self.prompts)}
        for task in tasks:
            if task.split is not Split.TRAIN:
                continue
            for index, one in enumerate(self.attempts[place[task.reference["prompt"]]]):
                sample = one.sample
                answer = Answer(
                    1,
                    Phase.GENERATE,
                    task.index,
                    index,
                    sample.model,
                    sample.text,
                    sample.finish_reason,
                    "",
                    sample.prompt_tokens,
                    sample.tokens,
                )
                yield Graded(answer, improvement(one.score, one.keys, task.reference["floor"]))

    def threshold(self, tau: float | str) -> float:
        """Returns by how much a program must beat the best one shown.

        Raises:
            TrainingError: tau is neither a number nor a percentile, or there is nothing to take one of.
        """
        if isinstance(tau, int | float):
            return float(tau)
        try:
            percentile = float(tau.removeprefix("p"))
        except ValueError:
            percentile = math.nan
        if not tau.startswith("p") or not 0 <= percentile <= 100:
            raise TrainingError(f"tasks.tau = {tau!r}: give a number, or a percentile as 'p75'.")
        gains = [
            one.score - shown
            for shown, several in zip(self.shown, self.attempts, strict=True)
            for one in several
            if one.score is not None and one.score > shown
        ]
        if not gains:
            raise TrainingError(
                f"No sample of the run {self.run} beats what its prompt shows: there is no percentile of gains to take "
                "as tasks.tau, and nothing to train on."
            )
        return float(np.percentile(gains, percentile))

    def _held(self, order: Sequence[int], seed: int) -> set[int]:
        islands = sorted({prompt.island for prompt in self.prompts})
        if len(islands) == 1:
            return {int(i) for i in order[: int(HELD_SHARE * len(order))]}
        count = max(1, int(HELD_SHARE * len(islands)))
        chosen = set(np.random.default_rng((seed, 32)).permutation(islands)[:count].tolist())
        return {number for number, prompt in enumerate(self.prompts) if prompt.island in chosen}

    def _task(self, index: int, number: int, split: Split, threshold: float, chat: bool) -> Task:
        prompt = self.prompts[number]
        floor = self.shown[number] + threshold
        return Task(
            index,
            f"{self.run}/{prompt.index}",
            f"island {prompt.island}",
            split,
            self.request(prompt.text) if chat else prompt.text,
            {"prompt": prompt.index, "version": prompt.version, "floor": floor},
        )


class SearchVerifier:
    """Scores programs as the search does."""

    def __init__(self, source: ProblemSource, limits: Limits, sandbox: Sandbox) -> None:
        problem = load(source)
        self._evaluator = problem.scorer(sandbox, limits=limits)

    def grade(self, task: Task, text: str) -> Grade:
        prompt = Prompt(task.reference["prompt"], 0, 0, task.prompt, task.reference["version"], (), 0)
        evaluation = self._evaluator.evaluate(Sample(prompt, 0, text, "", "stop"))
        grade = improvement(evaluation.score, identity(evaluation), task.reference["floor"])
        return replace(grade, error=evaluation.error, seconds=evaluation.seconds)

    def close(self) -> None:
        self._evaluator.close()


def _open(source: ProblemSource, limits: Limits, sandbox: Callable[[], Sandbox]) -> Verifier:
    return SearchVerifier(source, limits, sandbox())


def improvement(score: float | None, keys: tuple[str, ...], floor: float) -> Grade:
    """Returns the grade of a program with this score; what has no score has no reward."""
    return Grade(float(score is not None and score > floor), "" if score is None else f"{score:.12g}", keys)


def identity(evaluation: Evaluation) -> tuple[str, ...]:
    """Returns what makes a program a duplicate: its normalised syntax tree, and its signature."""
    if evaluation.function is None:
        return ()
    if evaluation.score is None:
        return (evaluation.key,)
    signature = repr(sorted(evaluation.scores.items())).encode()
    return (evaluation.key, hashlib.blake2b(signature, digest_size=16).hexdigest())


def search_tasks(
    run: str,
    storage: RunReader,
    limits: Callable[[Any, Limits], Limits],
    stop: tuple[str, ...],
    request: Callable[[str], str],
) -> SearchTasks:
    """Returns the task set `run:RUN`.

    Args:
        run: name of the search.
        storage: where it is.
        limits: makes the limits of its candidates from its settings and its problem's limits.
        stop: what ends a sample of it.
        request: makes of a prompt what a chat model is sent.

    Raises:
        StorageError: there is no such run.
        TrainingError: it has no prompt that shows a program with a score.
    """
    record = storage.run(run)
    stored = record.settings
    source = ProblemSource(record.problem, record.specification, record.evaluator, _inputs(stored))
    scores: list[float | None] = []
    first: dict[str, int] = {}
    prompts: list[Prompt] = []
    shown: list[float] = []
    attempts: dict[int, list[Attempt]] = defaultdict(list)
    for evaluation in storage.evaluations(run):
        scores.append(evaluation.score)
        prompt = evaluation.sample.prompt
        parents = [score for parent in prompt.parents if (score := scores[parent]) is not None]
        if prompt.index < 0 or not parents:
            continue
        if prompt.text not in first:
            first[prompt.text] = len(prompts)
            prompts.append(prompt)
            shown.append(max(parents))
        attempts[first[prompt.text]].append(Attempt(evaluation.sample, evaluation.score, identity(evaluation)))
    longest = (one.sample.tokens for several in attempts.values() for one in several)
    if not prompts:
        raise TrainingError(f"The run {run} has no prompt that shows a program with a score: let it run first.")
    return SearchTasks(
        run,
        source,
        limits(stored, load(source).evaluator.limits),
        tuple(prompts),
        tuple(shown),
        tuple(tuple(attempts[number]) for number in range(len(prompts))),
        stop,
        request,
        max_tokens=max(longest, default=0) or UNKNOWN_TOKENS,
    )


def _inputs(settings: Any) -> tuple[InputText, ...]:
    return tuple(InputText(**text) for text in settings.get("inputs", ()))
