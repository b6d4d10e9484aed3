"""The filter of ReST^EM (Singh et al., arXiv 2312.06585, algorithm 1): which answers a round trains on.

Draws are keyed by (seed, round, task), so the same answers give the same selection in any order.
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
"""Keep the draws of the three steps apart."""


@dataclass(frozen=True)
class SelectionConfig:
    """What is kept of the answers."""

    cutoff: int = 10
    """At most so many answers of each task (Singh et al.: 10)."""
    per_family: int | None = None
    """At most so many answers of each family; for a search, of each island, lest one lineage dominate."""
    filtered: bool = True
    """Keeps right answers only. False is the control: the same training on answers whether right or wrong."""
    across_tasks: bool | None = None
    """Whether duplicates are sought among all tasks; else among the answers of one. None: what the task set says."""

    def __post_init__(self) -> None:
        check_ranges(self, counts=("cutoff", "per_family"))


def filter_answers(
    tasks: Sequence[Task], graded: Iterable[Graded], config: SelectionConfig, *, seed: int, round: int
) -> list[Selected]:
    """Returns the answers to train on, in the order of tasks and answers.

    Answers that ended for length are left out: what they would have said is not known. Of duplicates one is kept.
    """
    by_task: dict[int, list[Graded]] = defaultdict(list)
    for one in graded:
        if one.answer.finish_reason != "length" and (one.grade.reward > 0 or not config.filtered):
            by_task[one.answer.task].append(one)
    kept: dict[str, list[Selected]] = defaultdict(list)
    seen: set[str] = set()
    for task in tasks:
        if not config.across_tasks:
            seen = set()
        some = _some(by_task[task.index], seen, config.cutoff, _rng(seed, round, SELECTION_DRAWS, task.index))
        kept[task.family] += [Selected(round, task.index, one.answer.index) for one in some]
    if config.per_family is not None:
        for number, family in enumerate(sorted(kept)):
            order = _rng(seed, round, FAMILY_DRAWS, number).permutation(len(kept[family]))
            kept[family] = [kept[family][i] for i in order[: config.per_family]]
    return sorted(itertools.chain(*kept.values()), key=lambda one: (one.task, one.answer))


def pair(selected: Sequence[Selected], graded: Iterable[Graded], *, seed: int, round: int) -> list[Selected]:
    """Returns those selected answers whose task has a wrong one, too, each with one of those to be preferred to.

    Those that ended for length are left out here as well.
    """
    wrong: dict[int, list[int]] = defaultdict(list)
    for one in graded:
        if one.grade.reward <= 0 and one.answer.finish_reason != "length":
            wrong[one.answer.task].append(one.answer.index)
    pairs = []
    for right in selected:
        others = sorted(wrong[right.task])
        if others:
            rng = _rng(seed, round, PAIR_DRAWS, right.task, right.answer)
            pairs.append(Selected(round, right.task, right.answer, others[int(rng.integers(len(others)))]))
    return pairs


def _some(answers: list[Graded], seen: set[str], count: int, rng: np.random.Generator) -> list[Graded]:
    """Returns up to `count` of the answers, drawn; none that shares a key with another or with what was seen."""
    answers = sorted(answers, key=lambda one: one.answer.index)
    chosen: list[Graded] = []
    for i in rng.permutation(len(answers)):
        keys = answers[i].grade.keys
        if len(chosen) < count and seen.isdisjoint(keys):
            seen.update(keys)
            chosen.append(answers[i])
    return chosen


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)
