"""Estimators of a policy's quality: pass@1, pass@k, majority@k, their standard errors, and the paired bootstrap.

Knows nothing about tasks except the rewards of the answers to them.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from funsearch.rest_em.records import Difference, Estimate

Floats = NDArray[np.float64]
BLOCK = 500
"""Number of bootstrap draws computed together, to bound the memory."""


def estimate(values: Sequence[float] | Floats) -> Estimate:
    """Returns the mean of one value per task, with its standard error over tasks.

    Raises:
        ValueError: there are no values.
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        raise ValueError("there are no tasks to estimate a mean over")
    error = float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else 0.0
    return Estimate(float(array.mean()), error, len(array))


def pass_at_k(rewards: Sequence[float], k: int) -> float:
    """Returns an unbiased estimate of the chance that one of `k` answers is correct, from n >= k answers.

    1 - C(n - c, k) / C(n, k), where c of n answers are correct (Chen et al., arXiv 2107.03374).

    Raises:
        ValueError: there are fewer than `k` answers.
    """
    n, correct = len(rewards), sum(reward > 0 for reward in rewards)
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} cannot be estimated from {n} answers")
    return 1.0 - comb(n - correct, k) / comb(n, k)


def majority_at_k(values: Sequence[str], rewards: Sequence[float], k: int) -> float:
    """Returns the reward of the most frequent value among the first `k` answers; the mean reward if several tie.

    Answers without a value do not vote.

    Raises:
        ValueError: there are fewer than `k` answers.
    """
    if not 0 < k <= len(values):
        raise ValueError(f"majority@{k} cannot be estimated from {len(values)} answers")
    votes: dict[str, list[float]] = {}
    for value, reward in zip(values[:k], rewards[:k], strict=True):
        if value:
            votes.setdefault(value, []).append(reward)
    most = max(map(len, votes.values()), default=0)
    winners = [float(np.mean(won)) for won in votes.values() if len(won) == most]
    return float(np.mean(winners)) if winners else 0.0


def paired_bootstrap(
    new: Sequence[float] | Floats,
    old: Sequence[float] | Floats,
    rng: np.random.Generator,
    *,
    confidence: float = 0.95,
    draws: int = 10_000,
) -> Difference:
    """Returns the mean of `new - old` over tasks, with the bounds of its two-sided percentile interval.

    Each draw resamples tasks, so both policies are compared on the same ones.

    Raises:
        ValueError: the two have different numbers of tasks, or there are none.
    """
    differences = np.asarray(new, dtype=float) - np.asarray(old, dtype=float)
    count = len(differences)
    if not count:
        raise ValueError("there are no tasks to compare on")
    means = [
        differences[rng.integers(0, count, (min(BLOCK, draws - start), count))].mean(axis=1)
        for start in range(0, draws, BLOCK)
    ]
    tail = (1.0 - confidence) / 2
    lower, upper = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return Difference(float(differences.mean()), float(lower), float(upper))
