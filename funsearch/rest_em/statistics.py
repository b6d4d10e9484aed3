"""How good a policy is: pass@1, pass@k, majority@k, their standard errors over tasks, and the paired bootstrap.

Knows nothing about tasks but the rewards that answers to them got.
"""

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from funsearch.rest_em.records import Difference, Estimate

Floats = NDArray[np.float64]
BLOCK = 500
"""Draws of the bootstrap that are made at once, to bound its memory."""


def estimate(values: Sequence[float] | Floats) -> Estimate:
    """Returns the mean of one value for each task, with its standard error over tasks.

    Raises:
        ValueError: there is no value.
    """
    array = np.asarray(values, dtype=float)
    if not len(array):
        raise ValueError("no task to estimate a mean over")
    error = float(array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else 0.0
    return Estimate(float(array.mean()), error, len(array))


def pass_at_k(rewards: Sequence[float], k: int) -> float:
    """Returns the chance that one of `k` answers is right, from n >= k answers, without bias.

    1 - C(n - c, k) / C(n, k), for c right ones of n (Chen et al., arXiv 2107.03374).

    Raises:
        ValueError: there are fewer than `k` answers.
    """
    n, right = len(rewards), sum(reward > 0 for reward in rewards)
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} cannot be had of {n} answers")
    return 1.0 - comb(n - right, k) / comb(n, k)


def majority_at_k(values: Sequence[str], rewards: Sequence[float], k: int) -> float:
    """Returns the reward of the value that most of the first `k` answers have; of several such, their mean.

    Answers without a value do not vote.

    Raises:
        ValueError: there are fewer than `k` answers.
    """
    if not 0 < k <= len(values):
        raise ValueError(f"majority@{k} cannot be had of {len(values)} answers")
    votes: dict[str, list[float]] = {}
    for value, reward in zip(values[:k], rewards[:k], strict=True):
        if value:
            votes.setdefault(value, []).append(reward)
    most = max(map(len, votes.values()), default=0)
    winners = [float(np.mean(given)) for given in votes.values() if len(given) == most]
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

    Tasks are drawn, so both policies are judged by the same ones each time.

    Raises:
        ValueError: the values are not of the same tasks, or there are none.
    """
    differences = np.asarray(new, dtype=float) - np.asarray(old, dtype=float)
    count = len(differences)
    if not count:
        raise ValueError("no task to compare on")
    means = [
        differences[rng.integers(0, count, (min(BLOCK, draws - start), count))].mean(axis=1)
        for start in range(0, draws, BLOCK)
    ]
    tail = (1.0 - confidence) / 2
    lower, upper = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return Difference(float(differences.mean()), float(lower), float(upper))
