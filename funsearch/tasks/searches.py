"""The samples of a search as tasks: write a program that beats those shown in the prompt.

The reward is 1 for a program that improves on the best program in the prompt by more than a threshold. Families are
islands, and whole islands are held out, so that no lineage is on both sides until a reset founds an island with a
program of another.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypedDict, cast

import numpy as np

from funsearch.core.ports import RunReader, Sandbox
from funsearch.core.records import Evaluation, Limits, Prompt, Sample
from funsearch.errors import TrainingError
from funsearch.loading import InputText, ProblemSource, load
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Phase, Split, Task

HELDOUT_SHARE = 0.25
"""Share of the islands that is held out; of the prompts, if there is only one island."""
UNKNOWN_TOKENS = 256
"""Maximum length of an answer if the samples of the search do not record theirs."""


class SearchReference(TypedDict):
    """What the verifier needs to know about the prompt of a task."""

    prompt: int
    version: int
    floor: float
    """The score that a program must exceed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sample of a search."""

    sample: Sample
    score: float | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchTasks:
    """The prompts of a search that show a program with a score."""

    run: str
    source: ProblemSource
    limits: Limits
    prompts: tuple[Prompt, ...]
    """Distinct by text."""
    shown: tuple[float, ...]
    """Best score among the programs that each prompt shows."""
    attempts: tuple[tuple[Attempt, ...], ...]
    """The samples of each prompt."""
    stop: tuple[str, ...]
    """Texts that end a sample of the search."""
    request: Callable[[str], str] = field(repr=False)
    """Turns a prompt into the request that a chat model is sent."""
    name: str = "run"
    max_tokens: int = UNKNOWN_TOKENS
    """Length of the longest sample of the search, if known."""
    across_tasks: bool = True

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        threshold = self.threshold(options.tau)
        order = np.random.default_rng((seed, 31)).permutation(len(self.prompts)).tolist()
        heldout = self._heldout(order, seed)
        splits = {
            Split.TRAIN: [i for i in order if i not in heldout][: options.count],
            Split.HELDOUT: [i for i in order if i in heldout][: options.heldout],
        }
        for split, purpose in ((Split.TRAIN, "to train on"), (Split.HELDOUT, "to hold out")):
            if not splits[split]:
                raise TrainingError(
                    f"The run {self.run} has no prompt {purpose} (prompts that show a program: {len(self.prompts)}): "
                    f"continue it with `funsearch resume {self.run}`."
                )
        chosen = [(split, int(i)) for split, indices in splits.items() for i in indices]
        return [self._task(index, i, split, threshold, chat) for index, (split, i) in enumerate(chosen)]

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        return partial(_open, self.source, self.limits)

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        numbers = {prompt.index: number for number, prompt in enumerate(self.prompts)}
        for task in tasks:
            if task.split is not Split.TRAIN:
                continue
            reference = _reference(task)
            for index, attempt in enumerate(self.attempts[numbers[reference["prompt"]]]):
                sample = attempt.sample
                answer = Answer(
                    round=1,
                    phase=Phase.GENERATE,
                    task=task.index,
                    index=index,
                    policy=sample.model,
                    text=sample.text,
                    finish_reason=sample.finish_reason,
                    ending="",
                    prompt_tokens=sample.prompt_tokens,
                    tokens=sample.tokens,
                )
                yield Graded(answer, improvement(attempt.score, attempt.keys, reference["floor"]))

    def threshold(self, tau: float | str) -> float:
        """Returns by how much a program must beat the best one shown.

        Raises:
            TrainingError: tau is neither a number nor a percentile, or there are no gains to take a percentile of.
        """
        if isinstance(tau, int | float):
            return float(tau)
        try:
            percentile = float(tau.removeprefix("p"))
        except ValueError:
            percentile = math.nan
        if not tau.startswith("p") or not 0 <= percentile <= 100:
            raise TrainingError(f"tasks.tau = {tau!r}: give a number, or a percentile such as 'p75'.")
        gains = [
            attempt.score - shown
            for shown, attempts in zip(self.shown, self.attempts, strict=True)
            for attempt in attempts
            if attempt.score is not None and attempt.score > shown
        ]
        if not gains:
            raise TrainingError(
                f"No sample of the run {self.run} beats the programs in its prompt: there are no gains to take a "
                "percentile of for tasks.tau, and nothing to train on."
            )
        return float(np.percentile(gains, percentile))

    def _heldout(self, order: Sequence[int], seed: int) -> set[int]:
        """Returns the numbers of the prompts to hold out."""
        islands = sorted({prompt.island for prompt in self.prompts})
        if len(islands) == 1:
            return {int(i) for i in order[: int(HELDOUT_SHARE * len(order))]}
        count = max(1, int(HELDOUT_SHARE * len(islands)))
        chosen = set(np.random.default_rng((seed, 32)).permutation(islands)[:count].tolist())
        return {number for number, prompt in enumerate(self.prompts) if prompt.island in chosen}

    def _task(self, index: int, number: int, split: Split, threshold: float, chat: bool) -> Task:
        prompt = self.prompts[number]
        floor = self.shown[number] + threshold
        reference: SearchReference = {"prompt": prompt.index, "version": prompt.version, "floor": floor}
        return Task(
            index=index,
            key=f"{self.run}/{prompt.index}",
            family=f"island {prompt.island}",
            split=split,
            prompt=self.request(prompt.text) if chat else prompt.text,
            reference=reference,
        )


class SearchVerifier:
    """Scores programs as the search does."""

    def __init__(self, source: ProblemSource, limits: Limits, sandbox: Sandbox) -> None:
        problem = load(source)
        self._evaluator = problem.scorer(sandbox, limits=limits)

    def grade(self, task: Task, text: str) -> Grade:
        reference = _reference(task)
        prompt = Prompt(
            index=reference["prompt"],
            island=0,
            resets=0,
            text=task.prompt,
            version=reference["version"],
            parents=(),
            after=0,
        )
        evaluation = self._evaluator.evaluate(Sample(prompt=prompt, index=0, text=text, model="", finish_reason="stop"))
        grade = improvement(evaluation.score, identity(evaluation), reference["floor"])
        return replace(grade, error=evaluation.error, seconds=evaluation.seconds)

    def close(self) -> None:
        self._evaluator.close()


def _open(source: ProblemSource, limits: Limits, sandbox: Callable[[], Sandbox]) -> Verifier:
    return SearchVerifier(source, limits, sandbox())


def _reference(task: Task) -> SearchReference:
    return cast(SearchReference, task.reference)


def improvement(score: float | None, keys: tuple[str, ...], floor: float) -> Grade:
    """Returns the grade of a program with this score; a program without a score gets reward 0."""
    return Grade(float(score is not None and score > floor), "" if score is None else f"{score:.12g}", keys)


def identity(evaluation: Evaluation) -> tuple[str, ...]:
    """Returns the keys that a program shares with its duplicates: of its normalised syntax tree, and of its scores."""
    if evaluation.function is None:
        return ()
    if evaluation.score is None:
        return (evaluation.key,)
    signature = repr(sorted(evaluation.scores.items())).encode()
    return (evaluation.key, hashlib.blake2b(signature, digest_size=16).hexdigest())


def search_tasks(
    run: str,
    storage: RunReader,
    limits: Callable[[Mapping[str, object], Limits], Limits],
    stop: tuple[str, ...],
    request: Callable[[str], str],
) -> SearchTasks:
    """Returns the task set `run:RUN`.

    Args:
        run: name of the search.
        storage: holds the search.
        limits: makes the limits of its candidates from its settings and its problem's limits.
        stop: texts that end one of its samples.
        request: turns a prompt into the request that a chat model is sent.

    Raises:
        StorageError: there is no such run.
        TrainingError: it has no prompt that shows a program with a score.
    """
    record = storage.run(run)
    stored = record.settings
    inputs = tuple(InputText(**text) for text in stored.get("inputs", ()))
    source = ProblemSource(record.problem, record.specification, record.evaluator, inputs)
    recorded = _by_prompt(storage.evaluations(run))
    if not recorded:
        raise TrainingError(
            f"The run {run} has no prompt that shows a program with a score: continue it with `funsearch resume {run}`."
        )
    longest = max(attempt.sample.tokens for item in recorded for attempt in item.attempts)
    return SearchTasks(
        run=run,
        source=source,
        limits=limits(stored, load(source).evaluator.limits),
        prompts=tuple(item.prompt for item in recorded),
        shown=tuple(item.shown for item in recorded),
        attempts=tuple(tuple(item.attempts) for item in recorded),
        stop=stop,
        request=request,
        max_tokens=longest or UNKNOWN_TOKENS,
    )


@dataclass(slots=True)
class _Recorded:
    """A prompt with its samples."""

    prompt: Prompt
    shown: float
    attempts: list[Attempt] = field(default_factory=list)


def _by_prompt(evaluations: Iterable[Evaluation]) -> list[_Recorded]:
    """Returns the distinct prompts that show a program with a score, in the order of their first sample."""
    scores: list[float | None] = []
    by_text: dict[str, _Recorded] = {}
    for evaluation in evaluations:
        scores.append(evaluation.score)
        prompt = evaluation.sample.prompt
        parents = [score for parent in prompt.parents if (score := scores[parent]) is not None]
        if prompt.index < 0 or not parents:
            continue
        recorded = by_text.setdefault(prompt.text, _Recorded(prompt, max(parents)))
        recorded.attempts.append(Attempt(evaluation.sample, evaluation.score, identity(evaluation)))
    return list(by_text.values())
