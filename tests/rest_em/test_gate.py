"""The gate: which policies are published, and when a training stops."""

from collections.abc import Callable

import numpy as np
import pytest
from em_records import graded, task

from funsearch.rest_em.gate import GateConfig, Measurement, decide
from funsearch.rest_em.measurement import measure
from funsearch.rest_em.records import Phase, Split

COUNT = 200
SAMPLED = 8


def measured(
    heldout: float, train: float = 0.0, transfer: float | None = None, sampled: Callable[[float], float] = lambda p: p
) -> Measurement:
    """Returns a measurement with these rates of correct greedy answers; `sampled` turns them into those of samples."""
    rates = {Split.HELDOUT: heldout, Split.TRAIN: train} | ({} if transfer is None else {Split.TRANSFER: transfer})
    tasks, answers = [], []
    rng = np.random.default_rng(1)
    for split, rate in rates.items():
        for _ in range(COUNT):
            index = len(tasks)
            tasks.append(task(index, split=split))
            draws = rng.random(1 + SAMPLED)
            answers.append(graded(index, 0, float(draws[0] < rate), phase=Phase.GREEDY))
            answers += [
                graded(index, i, float(draws[1 + i] < sampled(rate)), phase=Phase.SAMPLED) for i in range(SAMPLED)
            ]
    return measure(tasks, answers)


def test_figures_are_computed_from_the_answers() -> None:
    tasks = [task(0, split=Split.HELDOUT), task(1, split=Split.HELDOUT)]
    answers = [graded(t, 0, float(t), phase=Phase.GREEDY) for t in (0, 1)]
    answers += [graded(0, i, float(i == 0), value="ab"[i > 0], phase=Phase.SAMPLED) for i in range(4)]
    answers += [graded(1, i, float(i < 3), value="ab"[i >= 3], phase=Phase.SAMPLED) for i in range(4)]
    measurement = measure(tasks, answers)
    assert list(measurement) == [Split.HELDOUT]
    figures = measurement[Split.HELDOUT].figures()
    assert (figures.greedy.value, figures.sampled.value, figures.pass_at_k.value) == (0.5, 0.5, 1.0)
    assert (figures.majority_at_k.value, figures.k, figures.sampled.error) == (0.5, 4, 0.25)


def test_partly_measured_task_is_refused() -> None:
    with pytest.raises(ValueError, match="heldout is only partly measured"):
        measure([task(0, split=Split.HELDOUT)], [graded(0, phase=Phase.GREEDY)])


def test_clear_gain_is_published_and_training_continues() -> None:
    decision = decide(measured(0.4, 0.4), measured(0.2, 0.2), GateConfig(), seed=0, round=1)
    assert (decision.published, decision.stop) == (True, "")
    assert 0 < decision.gain.lower < decision.gain.mean < decision.gain.upper


@pytest.mark.parametrize("heldout", [0.1, 0.2, 0.21])
def test_gain_that_may_be_chance_is_not_published(heldout: float) -> None:
    decision = decide(measured(heldout), measured(0.2), GateConfig(), seed=0, round=1)
    assert (decision.published, decision.stop) == (False, "no gain")


@pytest.mark.parametrize(("differing", "published"), [(5, False), (6, True)])
def test_gain_on_too_few_tasks_is_not_published(differing: int, published: bool) -> None:
    tasks = [task(i, split=Split.HELDOUT) for i in range(COUNT)]
    greedy = [graded(i, 0, 0.0, phase=Phase.GREEDY) for i in range(COUNT)]
    old = [graded(i, 0, 0.0, phase=Phase.SAMPLED) for i in range(COUNT)]
    new = [graded(i, 0, float(i < differing), phase=Phase.SAMPLED) for i in range(COUNT)]
    config = GateConfig(pass_at_1="sampled")
    decision = decide(measure(tasks, greedy + new), measure(tasks, greedy + old), config, seed=0, round=1)
    assert decision.gain.lower > 0
    assert decision.published is published
    assert published or "only 5 held-out tasks differ" in decision.reason


def test_policy_that_loses_on_transfer_tasks_is_not_published() -> None:
    decision = decide(measured(0.4, transfer=0.2), measured(0.2, transfer=0.4), GateConfig(), seed=0, round=1)
    assert (decision.published, decision.stop) == (False, "transfer dropped")
    assert decide(measured(0.4, transfer=0.4), measured(0.2, transfer=0.4), GateConfig(), seed=0, round=1).published


def test_growing_gap_stops_the_training() -> None:
    decision = decide(measured(0.4, train=0.8), measured(0.2, train=0.2), GateConfig(), seed=0, round=1)
    assert (decision.published, decision.stop) == (True, "growing gap")


def test_falling_pass_at_k_stops_the_training() -> None:
    sharper = measured(0.4, sampled=lambda _: 0.05)
    decision = decide(sharper, measured(0.2, sampled=lambda _: 0.3), GateConfig(), seed=0, round=1)
    assert (decision.published, decision.stop) == (True, "falling pass@k")


def test_deciding_pass_at_1_can_be_chosen() -> None:
    new, old = measured(0.2, sampled=lambda _: 0.5), measured(0.2)
    assert not decide(new, old, GateConfig(), seed=0, round=1).published
    assert decide(new, old, GateConfig(pass_at_1="sampled"), seed=0, round=1).published
