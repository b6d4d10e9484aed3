"""Workers of a training on Ray: graders whose verifier hangs are replaced, and so is a trainer that dies."""

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from funsearch.cluster.handles import first_done
from funsearch.cluster.policy_samplers import PolicySamplers
from funsearch.cluster.trainer_actor import SupervisedTrainer, TrainerActor
from funsearch.cluster.training_workers import RayTrainingWorkers
from funsearch.errors import TrainingError
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress, OpenVerifier, Verifier
from funsearch.rest_em.records import Answer, Grade, Graded, Phase, Split, Task
from funsearch.training.workers import ToGrade

pytestmark = pytest.mark.ray


class NoSamplers:
    """Stands for samplers that no test asks."""

    def close(self) -> None:
        """Does nothing."""


def verifier(hangs_on: str) -> OpenVerifier:
    """Returns the maker of a verifier that hangs on some answers, without ever releasing the interpreter's lock."""

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
    task = Task(index=0, key="sums/7", family="sums", split=Split.TRAIN, prompt="1+1=", reference=None)
    answers = [
        Answer(round=1, phase=Phase.GENERATE, task=0, index=i, policy="base", text=text, finish_reason="stop")
        for i, text in enumerate(texts)
    ]
    batches = [[ToGrade(task, answer) for answer in answers[i : i + 2]] for i in range(0, len(answers), 2)]
    workers = RayTrainingWorkers(
        cast(PolicySamplers, NoSamplers()),
        verifier(hangs_on),
        "none",
        verifier_seconds=seconds,
        grader_options={"num_cpus": 0},
    )
    with closing(workers):
        grades = [grade for batch in workers.grade(batches) for grade in batch]
    return sorted(grades, key=lambda grade: grade.answer.index)


def test_answer_that_hangs_the_verifier_is_wrong_and_the_others_keep_their_grades(
    ray_here: None, caplog: pytest.LogCaptureFixture
) -> None:
    grades = graded("endless", ["right", "wrong", "right", "endless", "right", "right"], seconds=2.0)
    assert [item.grade.reward for item in grades] == [1, 0, 1, 0, 1, 1]
    assert [bool(item.grade.error) for item in grades] == [False, False, False, True, False, False]
    assert "counted as wrong, because the verifier's process dies of an answer to the task sums/7" in caplog.text


def test_verifier_that_hangs_on_every_answer_is_an_error(ray_here: None) -> None:
    with pytest.raises(TrainingError, match=r"No answer could be graded.* sums/7: .* set verifier_seconds higher"):
        graded("", ["right", "wrong", "right", "wrong"])


def test_one_fatal_answer_is_not_taken_for_a_broken_verifier(ray_here: None) -> None:
    (answer,) = graded("endless", ["endless"])
    assert (answer.grade.reward, bool(answer.grade.error)) == (0, True)


def dying_trainer() -> type:
    """Returns the class of a trainer that takes one step, saves it, and dies; its fourth step ends the training."""

    class DyingTrainer(TrainerActor):
        def improve(self, job: ImproveJob, examples: Sequence[Example]) -> Improved:
            checkpoint = Path(job.folder)
            step = int(checkpoint.read_text()) + 1
            self._watch(ImproveProgress(step, 4))
            if step == 4:
                return Improved("lora", {"step": step})
            time.sleep(2.5)  # so that the progress is seen
            checkpoint.write_text(str(step if job.seed else 0))
            os._exit(1)

    return DyingTrainer


def improve(folder: Path, advances: bool) -> tuple[Improved, list[int]]:
    checkpoint = folder / "checkpoint"
    checkpoint.write_text("0")
    seen: list[int] = []
    trainer = SupervisedTrainer(0, lambda calls: first_done(calls, 0.2), dying_trainer())
    job = ImproveJob(policy="p@1", base="base", folder=str(checkpoint), chat=False, seed=int(advances), options=None)
    return trainer.improve(job, [], lambda progress: seen.append(progress.step)), seen


def test_trainer_that_dies_resumes_from_its_checkpoint_as_long_as_it_advances(ray_here: None, tmp_path: Path) -> None:
    improved, steps = improve(tmp_path, advances=True)
    assert improved == Improved("lora", {"step": 4})
    assert steps[:3] == [1, 2, 3]


def test_trainer_that_dies_at_the_same_step_each_time_is_an_error(ray_here: None, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"trainer's process died 3 times in a row .* to resume from the latest"):
        improve(tmp_path, advances=False)
