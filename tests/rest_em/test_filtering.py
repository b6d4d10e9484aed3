"""The filter: which answers it keeps, and that only seed, round and answers decide."""

import random
from collections import Counter

from em_records import graded, task

from funsearch.rest_em.filtering import SelectionConfig, filter_answers, pair
from funsearch.rest_em.records import Graded, Selected

TASKS = [task(index, f"family{index % 2}") for index in range(6)]
ANSWERS = [graded(t, i, float(i % 3 == 0)) for t in range(6) for i in range(30)]


def filtered(config: SelectionConfig, answers: list[Graded] = ANSWERS, seed: int = 0, round: int = 1) -> list[Selected]:
    return filter_answers(TASKS, answers, config, seed=seed, round=round)


def test_only_correct_answers_pass_up_to_the_cutoff_of_each_task() -> None:
    kept = filtered(SelectionConfig(cutoff=4))
    assert Counter(item.task for item in kept) == dict.fromkeys(range(6), 4)
    assert all(item.answer % 3 == 0 for item in kept)


def test_unfiltered_control_keeps_wrong_answers_too() -> None:
    kept = filtered(SelectionConfig(cutoff=12, filtered=False))
    assert len(kept) == 72
    assert 0.15 < sum(item.answer % 3 == 0 for item in kept) / 72 < 0.55


def test_result_depends_on_seed_and_round_but_not_on_the_order_of_answers() -> None:
    config = SelectionConfig(cutoff=4)
    shuffled = random.Random(1).sample(ANSWERS, len(ANSWERS))
    assert filtered(config) == filtered(config, shuffled)
    assert filtered(config) != filtered(config, seed=1)
    assert filtered(config) != filtered(config, round=2)


def test_more_answers_to_one_task_do_not_change_those_kept_of_others() -> None:
    config = SelectionConfig(cutoff=4)
    more = [*ANSWERS, *(graded(0, i) for i in range(30, 60))]
    assert [item for item in filtered(config) if item.task] == [item for item in filtered(config, more) if item.task]


def test_answers_cut_off_at_the_length_limit_are_dropped() -> None:
    answers = [graded(0, 0, finish="length"), graded(0, 1)]
    assert [item.answer for item in filtered(SelectionConfig(), answers)] == [1]


def test_duplicates_share_any_key() -> None:
    keys = [("ast1", "sig1"), ("ast2", "sig1"), ("ast1", "sig2"), ("ast3", "sig3")]
    answers = [graded(0, i, keys=k) for i, k in enumerate(keys)]
    kept = [item.answer for item in filtered(SelectionConfig(), answers)]
    assert 3 in kept
    assert {0} <= set(kept) or set(kept) == {1, 2, 3}


def test_duplicates_across_tasks_are_dropped_if_requested() -> None:
    answers = [graded(t, i, keys=(f"ast{i}",)) for t in range(3) for i in range(2)]
    assert len(filtered(SelectionConfig(), answers)) == 6
    kept = filtered(SelectionConfig(across_tasks=True), answers)
    assert sorted(item.answer for item in kept) == [0, 1]


def test_limit_of_a_family_applies_to_each_family() -> None:
    answers = [graded(t, i) for t in range(5) for i in range(4)]
    kept = filtered(SelectionConfig(per_family=9), answers)
    assert Counter(item.task % 2 for item in kept) == {0: 9, 1: 8}
    assert len({item.task for item in kept if item.task % 2 == 0}) == 3, "the limit is not spread over its tasks"


def test_pairs_are_within_a_task_and_need_a_wrong_answer() -> None:
    answers = [graded(0, 0), graded(0, 1, 0.0), graded(0, 2, 0.0), graded(1, 0), graded(2, 0, 0.0)]
    kept = pair(filtered(SelectionConfig(), answers), answers, seed=0, round=1)
    assert [(item.task, item.answer) for item in kept] == [(0, 0)]
    assert kept[0].rejected in (1, 2)


def test_answer_cut_off_at_the_length_limit_is_not_used_as_rejected() -> None:
    answers = [graded(0, 0), graded(0, 1, 0.0, finish="length"), graded(1, 0), graded(1, 1, 0.0)]
    kept = pair(filtered(SelectionConfig(), answers), answers, seed=0, round=1)
    assert [(item.task, item.rejected) for item in kept] == [(1, 1)]
