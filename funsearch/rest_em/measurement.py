"""The measurement of one policy: the rewards of its answers, task by task, and the figures computed from them.

Knows nothing about which policy is better.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from funsearch.rest_em.records import Figures, Graded, Phase, Split, Task
from funsearch.rest_em.statistics import Floats, estimate, majority_at_k, pass_at_k


@dataclass(frozen=True, slots=True)
class SplitMeasurement:
    """A policy's answers to the tasks of one split; every field is in the order of the tasks."""

    greedy: Floats
    """Reward of the greedy answer to each task."""
    sampled: tuple[tuple[float, ...], ...]
    """Rewards of the sampled answers to each task."""
    values: tuple[tuple[str, ...], ...]
    """Values of the sampled answers, which a majority votes on."""

    @property
    def k(self) -> int:
        """Number of sampled answers that every task has at least."""
        return min(map(len, self.sampled))

    def pass_at_1(self, phase: Phase) -> Floats:
        """Returns pass@1 of each task, from its greedy answer or as the mean over its sampled ones."""
        return self.greedy if phase is Phase.GREEDY else np.array([np.mean(rewards) for rewards in self.sampled])

    def pass_at_k(self, k: int) -> Floats:
        """Returns pass@k of each task."""
        return np.array([pass_at_k(rewards, k) for rewards in self.sampled])

    def figures(self) -> Figures:
        """Returns the means over tasks with their standard errors."""
        k = self.k
        majority = [
            majority_at_k(values, rewards, k) for values, rewards in zip(self.values, self.sampled, strict=True)
        ]
        return Figures(
            estimate(self.greedy),
            estimate(self.pass_at_1(Phase.SAMPLED)),
            estimate(self.pass_at_k(k)),
            estimate(majority),
            k,
        )


@dataclass(slots=True)
class _Answers:
    greedy: list[Graded] = field(default_factory=list)
    sampled: list[Graded] = field(default_factory=list)


def measure(tasks: Sequence[Task], graded: Iterable[Graded]) -> dict[Split, SplitMeasurement]:
    """Returns the measurement of each split that has answers; `graded` holds both phases of measuring.

    Raises:
        ValueError: a task has answers of one phase but not of the other.
    """
    by_task: dict[int, _Answers] = defaultdict(_Answers)
    for item in graded:
        answers = by_task[item.answer.task]
        (answers.greedy if item.answer.phase is Phase.GREEDY else answers.sampled).append(item)
    measured = {}
    for split in Split:
        of_split = [by_task[task.index] for task in tasks if task.split is split and task.index in by_task]
        if not of_split:
            continue
        if not all(answers.greedy and answers.sampled for answers in of_split):
            raise ValueError(f"a task of the split {split} is only partly measured")
        sampled = [sorted(answers.sampled, key=lambda item: item.answer.index) for answers in of_split]
        measured[split] = SplitMeasurement(
            np.array([answers.greedy[0].grade.reward for answers in of_split]),
            tuple(tuple(item.grade.reward for item in items) for items in sampled),
            tuple(tuple(item.grade.value for item in items) for items in sampled),
        )
    return measured
