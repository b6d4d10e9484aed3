"""What was measured of one policy: the rewards of its answers, task by task, and the figures they come to.

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
    """The answers of a policy to the tasks of one split; everything is in the order of the tasks."""

    greedy: Floats
    """Reward of the likeliest answer to each task."""
    sampled: tuple[tuple[float, ...], ...]
    """Rewards of the drawn answers to each task."""
    values: tuple[tuple[str, ...], ...]
    """The drawn answers as a majority votes on them."""

    @property
    def k(self) -> int:
        """Returns how many drawn answers every task has at least."""
        return min(map(len, self.sampled))

    def pass_at_1(self, how: Phase) -> Floats:
        """Returns pass@1 of each task, by its likeliest answer or over those drawn."""
        return self.greedy if how is Phase.GREEDY else np.array([np.mean(rewards) for rewards in self.sampled])

    def pass_at_k(self, k: int) -> Floats:
        """Returns pass@k of each task."""
        return np.array([pass_at_k(rewards, k) for rewards in self.sampled])

    def figures(self) -> Figures:
        """Returns what it comes to."""
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
        ValueError: a task has answers of one phase and none of the other.
    """
    of_task: dict[int, _Answers] = defaultdict(_Answers)
    for one in graded:
        answers = of_task[one.answer.task]
        (answers.greedy if one.answer.phase is Phase.GREEDY else answers.sampled).append(one)
    measured = {}
    for split in Split:
        here = [of_task[task.index] for task in tasks if task.split is split and task.index in of_task]
        if not here:
            continue
        if not all(answers.greedy and answers.sampled for answers in here):
            raise ValueError(f"a task of the split {split} is measured only in part")
        drawn = [sorted(answers.sampled, key=lambda one: one.answer.index) for answers in here]
        measured[split] = SplitMeasurement(
            np.array([answers.greedy[0].grade.reward for answers in here]),
            tuple(tuple(one.grade.reward for one in several) for several in drawn),
            tuple(tuple(one.grade.value for one in several) for several in drawn),
        )
    return measured
