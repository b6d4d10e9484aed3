"""The gate: what is published, and when rounds end."""

from collections.abc import Callable

import numpy as np
import pytest
from em_records import graded, task

from funsearch.rest_em.gate import GateConfig, Measurement, decide
from funsearch.rest_em.measurement import measure
from funsearch.rest_em.records import Phase, Split

COUNT = 200
DRAWN = 8


def measured(
    held: float, train: float = 0.0, transfer: float | None = None, spread: Callable[[float], float] = lambda p: p
) -> Measurement:
    """Returns a measurement with these pass@1; the tasks differ in difficulty as `spread` says."""
    rates = {Split.HELDOUT: held, Split.TRAIN: train} | ({} if transfer is None else {Split.TRANSFER: transfer})
    tasks, answers = [], []
    rng = np.random.default_rng(1)
    for split, rate in rates.items():
        for _ in range(COUNT):
            tasks.append(one := task(len(tasks), split=split))
            luck = rng.random(1 + DRAWN)
            answers.append(graded(one.index, 0, float(luck[0] < rate), phase=Phase.GREEDY))
            answers += [
                graded(one.index, i, float(luck[1 + i] < spread(rate)), phase=Phase.SAMPLED) for i in range(DRAWN)
            ]
    return measure(tasks, answers)


def test_figures_are_those_of_the_answers() -> None:
    tasks = [task(0, split=Split.HELDOUT), task(1, split=Split.HELDOUT)]
    answers = [graded(t, 0, float(t), phase=Phase.GREEDY) for t in (0, 1)]
    answers += [graded(0, i, float(i == 0), value="ab"[i > 0], phase=Phase.SAMPLED) for i in range(4)]
    answers += [graded(1, i, float(i < 3), value="ab"[i >= 3], phase=Phase.SAMPLED) for i in range(4)]
    found = measure(tasks, answers)
    assert list(found) == [Split.HELDOUT]
    figures = found[Split.HELDOUT].figures()
    assert (figures.greedy.value, figures.sampled.value, figures.pass_at_k.value) == (0.5, 0.5, 1.0)
    assert (figures.majority_at_k.value, figures.k, figures.sampled.error) == (0.5, 4, 0.25)


def test_task_measured_in_part_is_refused() -> None:
    with pytest.raises(ValueError, match="held is measured only in part"):
        measure([task(0, split=Split.HELDOUT)], [graded(0, phase=Phase.GREEDY)])


def test_clear_gain_is_published_and_rounds_go_on() -> None:
    found = decide(measured(0.4, 0.4), measured(0.2, 0.2), GateConfig(), seed=0, round=1)
    assert (found.published, found.stop) == (True, "")
    assert 0 < found.gain.lower < found.gain.mean < found.gain.upper


@pytest.mark.parametrize("held", [0.1, 0.2, 0.21])
def test_gain_that_may_be_luck_is_not_published(held: float) -> None:
    found = decide(measured(held), measured(0.2), GateConfig(), seed=0, round=1)
    assert (found.published, found.stop) == (False, "no gain")


@pytest.mark.parametrize(("tasks", "published"), [(5, False), (6, True)])
def test_few_tasks_that_differ_are_too_few_to_tell(tasks: int, published: bool) -> None:
    several = [task(i, split=Split.HELDOUT) for i in range(COUNT)]
    greedy = [graded(i, 0, 0.0, phase=Phase.GREEDY) for i in range(COUNT)]
    old = [graded(i, 0, 0.0, phase=Phase.SAMPLED) for i in range(COUNT)]
    new = [graded(i, 0, float(i < tasks), phase=Phase.SAMPLED) for i in range(COUNT)]
    config = GateConfig(pass_at_1="sampled")
    found = decide(measure(several, greedy + new), measure(several, greedy + old), config, seed=0, round=1)
    assert found.gain.lower > 0
    assert found.published is published
    assert published or "only 5 held-out tasks differ" in found.reason


def test_transfer_that_drops_is_not_published() -> None:
    found = decide(measured(0.4, transfer=0.2), measured(0.2, transfer=0.4), GateConfig(), seed=0, round=1)
    assert (found.published, found.stop) == (False, "transfer dropped")
    assert decide(measured(0.4, transfer=0.4), measured(0.2, transfer=0.4), GateConfig(), seed=0, round=1).published


def test_growing_gap_ends_the_rounds() -> None:
    found = decide(measured(0.4, train=0.8), measured(0.2, train=0.2), GateConfig(), seed=0, round=1)
    assert (found.published, found.stop) == (True, "growing gap")


def test_falling_pass_at_k_ends_the_rounds() -> None:
    sharper = measured(0.4, spread=lambda _: 0.05)
    found = decide(sharper, measured(0.2, spread=lambda _: 0.3), GateConfig(), seed=0, round=1)
    assert (found.published, found.stop) == (True, "falling pass@k")


def test_pass_at_one_that_decides_can_be_chosen() -> None:
    new, old = measured(0.2, spread=lambda _: 0.5), measured(0.2)
    assert not decide(new, old, GateConfig(), seed=0, round=1).published
    assert decide(new, old, GateConfig(pass_at_1="sampled"), seed=0, round=1).published
