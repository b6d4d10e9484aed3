"""The filter: what is kept, and that nothing but seed, round and answers decides it."""

import random
from collections import Counter

from em_records import graded, task

from funsearch.rest_em.filtering import SelectionConfig, filter_answers, pair
from funsearch.rest_em.records import Graded, Selected

TASKS = [task(index, f"family{index % 2}") for index in range(6)]
ANSWERS = [graded(t, i, float(i % 3 == 0)) for t in range(6) for i in range(30)]


def chosen(config: SelectionConfig, answers: list[Graded] = ANSWERS, seed: int = 0, round: int = 1) -> list[Selected]:
    return filter_answers(TASKS, answers, config, seed=seed, round=round)


def test_only_right_answers_pass_and_no_more_than_the_cutoff_of_each_task() -> None:
    found = chosen(SelectionConfig(cutoff=4))
    assert Counter(one.task for one in found) == dict.fromkeys(range(6), 4)
    assert all(one.answer % 3 == 0 for one in found)


def test_the_control_takes_wrong_answers_too() -> None:
    found = chosen(SelectionConfig(cutoff=12, filtered=False))
    assert len(found) == 72
    assert 0.15 < sum(one.answer % 3 == 0 for one in found) / 72 < 0.55


def test_selection_depends_on_seed_and_round_and_not_on_the_order_of_answers() -> None:
    config = SelectionConfig(cutoff=4)
    shuffled = random.Random(1).sample(ANSWERS, len(ANSWERS))
    assert chosen(config) == chosen(config, shuffled)
    assert chosen(config) != chosen(config, seed=1)
    assert chosen(config) != chosen(config, round=2)


def test_a_task_with_more_answers_does_not_change_what_others_bring() -> None:
    config = SelectionConfig(cutoff=4)
    more = [*ANSWERS, *(graded(0, i) for i in range(30, 60))]
    assert [one for one in chosen(config) if one.task] == [one for one in chosen(config, more) if one.task]


def test_answers_that_ended_for_length_are_rejected() -> None:
    answers = [graded(0, 0, finish="length"), graded(0, 1)]
    assert [one.answer for one in chosen(SelectionConfig(), answers)] == [1]


def test_duplicates_share_any_key() -> None:
    keys = [("ast1", "sig1"), ("ast2", "sig1"), ("ast1", "sig2"), ("ast3", "sig3")]
    answers = [graded(0, i, keys=k) for i, k in enumerate(keys)]
    found = [one.answer for one in chosen(SelectionConfig(), answers)]
    assert 3 in found
    assert {0} <= set(found) or set(found) == {1, 2, 3}


def test_duplicates_of_other_tasks_count_when_asked_to() -> None:
    answers = [graded(t, i, keys=(f"ast{i}",)) for t in range(3) for i in range(2)]
    assert len(chosen(SelectionConfig(), answers)) == 6
    found = chosen(SelectionConfig(across_tasks=True), answers)
    assert sorted(one.answer for one in found) == [0, 1]


def test_cap_of_a_family_binds_the_family_and_no_other() -> None:
    answers = [graded(t, i) for t in range(5) for i in range(4)]
    found = chosen(SelectionConfig(per_family=9), answers)
    assert Counter(one.task % 2 for one in found) == {0: 9, 1: 8}
    assert len({one.task for one in found if one.task % 2 == 0}) == 3, "the cap is not spread over its tasks"


def test_pairs_are_of_one_task_and_a_task_without_wrong_answers_has_none() -> None:
    answers = [graded(0, 0), graded(0, 1, 0.0), graded(0, 2, 0.0), graded(1, 0), graded(2, 0, 0.0)]
    found = pair(chosen(SelectionConfig(), answers), answers, seed=0, round=1)
    assert [(one.task, one.answer) for one in found] == [(0, 0)]
    assert found[0].rejected in (1, 2)


def test_answer_that_ended_for_length_is_not_what_another_is_preferred_to() -> None:
    answers = [graded(0, 0), graded(0, 1, 0.0, finish="length"), graded(1, 0), graded(1, 1, 0.0)]
    found = pair(chosen(SelectionConfig(), answers), answers, seed=0, round=1)
    assert [(one.task, one.rejected) for one in found] == [(1, 1)]
