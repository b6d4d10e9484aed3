"""Graders on Ray: a verifier that does not come back takes its own process along, and nothing else."""

from contextlib import closing
from typing import cast

import pytest

from funsearch.cluster.policy_samplers import PolicySamplers
from funsearch.cluster.training_workers import RayTrainingWorkers
from funsearch.errors import TrainingError
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Phase, Split, Task
from funsearch.training.workers import ToGrade

pytestmark = pytest.mark.ray


class NoSamplers:
    """Nobody is asked."""

    count = 1

    def close(self) -> None:
        """Does nothing."""


def verifier(hangs_on: str) -> OpenVerifier:
    """Returns what makes a verifier that never comes back from some answers, and holds the interpreter meanwhile."""

    class Hanging:
        def grade(self, task: Task, text: str) -> Grade:
            return Grade(float(int("9" * 10_000_000) if hangs_on in text else text == "right"))

        def close(self) -> None:
            """Does nothing."""

    def make(_sandbox: object) -> Verifier:
        import sys

        sys.set_int_max_str_digits(0)
        return Hanging()

    return make


def graded(hangs_on: str, texts: list[str], seconds: float = 0.5) -> list[Graded]:
    task = Task(0, "sums/7", "sums", Split.TRAIN, "1+1=", None)
    answers = [Answer(1, Phase.GENERATE, 0, i, "base", text, "stop") for i, text in enumerate(texts)]
    batches = [[ToGrade(task, one) for one in answers[i : i + 2]] for i in range(0, len(answers), 2)]
    hands = RayTrainingWorkers(
        cast(PolicySamplers, NoSamplers()),
        verifier(hangs_on),
        "none",
        verifier_seconds=seconds,
        grader_options={"num_cpus": 0},
    )
    with closing(hands):
        return sorted((one for batch in hands.grade(batches) for one in batch), key=lambda one: one.answer.index)


def test_answer_that_a_verifier_never_comes_back_from_is_wrong_and_the_others_keep_their_grades(
    ray_here: None, caplog: pytest.LogCaptureFixture
) -> None:
    found = graded("endless", ["right", "wrong", "right", "endless", "right", "right"], seconds=2.0)
    assert [one.grade.reward for one in found] == [1, 0, 1, 0, 1, 1]
    assert [bool(one.grade.error) for one in found] == [False, False, False, True, False, False]
    assert "counted as wrong, as the verifier takes its process down on an answer to the task sums/7" in caplog.text


def test_verifier_that_never_comes_back_at_all_is_told(ray_here: None) -> None:
    with pytest.raises(TrainingError, match=r"No answer could be graded.* sums/7: .* set verifier_seconds higher"):
        graded("", ["right", "wrong", "right", "wrong"])


def test_last_answer_of_a_resumed_training_is_not_all_there_is(ray_here: None) -> None:
    (found,) = graded("endless", ["endless"])
    assert (found.grade.reward, bool(found.grade.error)) == (0, True)
