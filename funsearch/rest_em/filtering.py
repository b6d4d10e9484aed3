"""The filter of ReST^EM (Singh et al., arXiv 2312.06585, algorithm 1): chooses the answers that a round trains on.

Random draws are keyed by (seed, round, task), so that the same answers give the same result in any order.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from funsearch.core.ranges import check_ranges
from funsearch.rest_em.records import Graded, Selected, Task

SELECTION_DRAWS = 11
FAMILY_DRAWS = 12
PAIR_DRAWS = 13
"""Keys of the random draws of the three steps, which keep them apart."""


@dataclass(frozen=True)
class SelectionConfig:
    """Which answers the filter keeps."""

    cutoff: int = 10
    """Maximum number of answers of each task (Singh et al.: 10)."""
    per_family: int | None = None
    """Maximum number of answers of each family; for a search, of each island, so that no lineage dominates."""
    filtered: bool = True
    """Keeps correct answers only. False is the control: the same training on answers whether correct or not."""
    across_tasks: bool | None = None
    """Whether answers to different tasks can be duplicates of each other. None: as the task set says."""

    def __post_init__(self) -> None:
        check_ranges(self, counts=("cutoff", "per_family"))


def filter_answers(
    tasks: Sequence[Task], graded: Iterable[Graded], config: SelectionConfig, *, seed: int, round: int
) -> list[Selected]:
    """Returns the answers to train on, in the order of tasks and answers.

    Answers that were cut off at the length limit are dropped, since their ending is unknown. One of each group of
    duplicates is kept.
    """
    by_task: dict[int, list[Graded]] = defaultdict(list)
    for item in graded:
        if item.answer.finish_reason != "length" and (item.grade.reward > 0 or not config.filtered):
            by_task[item.answer.task].append(item)
    kept: dict[str, list[Selected]] = defaultdict(list)
    seen: set[str] = set()
    for task in tasks:
        if not config.across_tasks:
            seen = set()
        drawn = _draw(by_task[task.index], seen, config.cutoff, _rng(seed, round, SELECTION_DRAWS, task.index))
        kept[task.family] += [Selected(round, task.index, item.answer.index) for item in drawn]
    if config.per_family is not None:
        for number, family in enumerate(sorted(kept)):
            order = _rng(seed, round, FAMILY_DRAWS, number).permutation(len(kept[family]))
            kept[family] = [kept[family][i] for i in order[: config.per_family]]
    return sorted(itertools.chain(*kept.values()), key=lambda selected: (selected.task, selected.answer))


def pair(selected: Sequence[Selected], graded: Iterable[Graded], *, seed: int, round: int) -> list[Selected]:
    """Returns the selected answers whose task also has a wrong answer, each with a wrong one to be preferred to.

    Wrong answers that were cut off at the length limit are dropped as well.
    """
    wrong: dict[int, list[int]] = defaultdict(list)
    for item in graded:
        if item.grade.reward <= 0 and item.answer.finish_reason != "length":
            wrong[item.answer.task].append(item.answer.index)
    pairs = []
    for chosen in selected:
        candidates = sorted(wrong[chosen.task])
        if candidates:
            rng = _rng(seed, round, PAIR_DRAWS, chosen.task, chosen.answer)
            rejected = candidates[int(rng.integers(len(candidates)))]
            pairs.append(Selected(round, chosen.task, chosen.answer, rejected))
    return pairs


def _draw(answers: list[Graded], seen: set[str], count: int, rng: np.random.Generator) -> list[Graded]:
    """Returns up to `count` of the answers in random order, without duplicates; adds their keys to `seen`."""
    answers = sorted(answers, key=lambda item: item.answer.index)
    chosen: list[Graded] = []
    for i in rng.permutation(len(answers)):
        keys = answers[i].grade.keys
        if len(chosen) < count and seen.isdisjoint(keys):
            seen.update(keys)
            chosen.append(answers[i])
    return chosen


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)
