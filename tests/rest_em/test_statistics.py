"""Estimators, compared with values counted by hand or by brute force."""

import itertools
from math import isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funsearch.rest_em.statistics import estimate, majority_at_k, paired_bootstrap, pass_at_k

REWARDS = st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=8)


@given(REWARDS, st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_answer(rewards: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(rewards)))
    subsets = list(itertools.combinations(rewards, k))
    assert isclose(pass_at_k(rewards, k), sum(map(any, subsets)) / len(subsets))


def test_pass_at_1_is_the_mean() -> None:
    assert pass_at_k([1, 0, 0, 1, 0], 1) == pytest.approx(0.4)


@pytest.mark.parametrize("k", [0, 4])
def test_k_beyond_the_number_of_answers_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} cannot be estimated from 3 answers"):
        pass_at_k([1, 0, 1], k)
    with pytest.raises(ValueError, match=f"majority@{k} cannot be estimated from 3 answers"):
        majority_at_k(["a", "b", "a"], [1, 0, 1], k)


@pytest.mark.parametrize(
    ("values", "rewards", "k", "result"),
    [
        (["7", "8", "8"], [1, 0, 0], 3, 0.0),
        (["7", "8", "8"], [1, 0, 0], 2, 0.5),
        (["", "", "7"], [0, 0, 1], 3, 1.0),
        (["", ""], [0, 0], 2, 0.0),
    ],
)
def test_majority_at_k(values: list[str], rewards: list[float], k: int, result: float) -> None:
    assert majority_at_k(values, rewards, k) == result


def test_standard_error_is_over_tasks() -> None:
    result = estimate([0.0, 1.0, 1.0, 1.0])
    assert (result.value, result.tasks) == (0.75, 4)
    assert result.error == pytest.approx(0.25)
    assert estimate([0.5]).error == 0.0
    with pytest.raises(ValueError, match="no tasks to estimate"):
        estimate([])


def test_bootstrap_covers_the_true_difference_at_about_the_stated_rate() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        difficulty = rng.uniform(0, 0.8, 80)
        old, new = rng.random(80) < difficulty, rng.random(80) < difficulty + 0.1
        difference = paired_bootstrap(new, old, rng, draws=600)
        covered += difference.lower <= 0.1 <= difference.upper
    assert 180 <= covered <= 199


def test_bootstrap_pairs_tasks() -> None:
    rng = np.random.default_rng(0)
    old = np.repeat([0.0, 1.0], 50)
    new = np.clip(old + np.tile([0.0, 0.1], 50), 0, 1.1)
    difference = paired_bootstrap(new, old, rng)
    assert 0.03 < difference.lower < difference.mean == pytest.approx(0.05)
    with pytest.raises(ValueError, match="no tasks to compare"):
        paired_bootstrap([], [], rng)


def test_bootstrap_is_seeded() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0, 0.0]
    assert paired_bootstrap(*values, np.random.default_rng(5)) == paired_bootstrap(*values, np.random.default_rng(5))
