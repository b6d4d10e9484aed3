"""The rounds with a scripted model: the answers trained on, the policies published, and the errors of a round."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from funsearch.errors import FunsearchError, TrainingError
from funsearch.rest_em.records import Grade, Phase, RoundRecord, Split, Task, TrainingRecord
from funsearch.settings.training import TrainingSettings
from funsearch.storage import open_storage
from funsearch.tasks.exact import ExactVerifier
from funsearch.tasks.opening import open_task_set
from funsearch.testing import InProcessSandbox, RecordingTrainer, ScriptedPolicies
from funsearch.training.rounds import RoundProgress, Rounds
from funsearch.training.workers import LocalTrainingWorkers

SETTINGS = ("samples_per_task=6", "measure.samples=4", "gate.pass_at_1=sampled", "selection.cutoff=2")


class ScriptedTraining:
    """A training whose policies answer rightly with given probabilities."""

    def __init__(
        self, folder: Path, chances: Sequence[float], *assignments: str, verifier: type[ExactVerifier] = ExactVerifier
    ) -> None:
        lines = [{"prompt": f"{i}+1=", "answer": str(i + 1), "split": "train" if i % 2 else "held"} for i in range(200)]
        self.folder = folder
        file = folder / "sums.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.storage = open_storage("sqlite://")
        self.record = TrainingRecord("demo", str(file), "base", {}, 0.0)
        self.chances = chances
        self.verifier = verifier
        self.seen: list[RoundProgress] = []
        settings = self.settings(*assignments)
        self.set = open_task_set(str(file), settings.tasks, lambda run: self.set)
        tasks = self.set.tasks(settings.tasks, chat=False, seed=0)
        self.storage.create_training(self.record, tasks)
        self.answers = {task.prompt: task.reference["answer"] for task in tasks}

    def settings(self, *assignments: str) -> TrainingSettings:
        return TrainingSettings.load(None, [*SETTINGS, *assignments])

    def run(self, *assignments: str) -> list[RoundRecord]:
        sampler = ScriptedPolicies(self.answers.__getitem__, self.chances)
        workers = LocalTrainingWorkers(lambda: sampler, lambda _: self.verifier(), InProcessSandbox, RecordingTrainer())
        settings = self.settings(*assignments)
        return Rounds(
            self.record,
            settings,
            self.set,
            self.storage,
            workers,
            chat=False,
            folder=self.folder / "policies",
            watch=self.seen.append,
        ).run()

    def examples(self, round: int) -> list[list[str]]:
        file = self.folder / "policies" / f"round-{round}" / "examples.json"
        examples: list[list[str]] = json.loads(file.read_text())
        return examples


def test_rounds_continue_while_the_policy_improves(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.2, 0.5, 0.8))
    rounds = training.run("rounds=2")
    assert [(record.published, record.stop) for record in rounds] == [(True, "")] * 3
    scores = [record.figures[Split.HELDOUT].sampled.value for record in rounds]
    assert scores == sorted(scores)
    assert [policy.name for policy in training.storage.policies("demo")] == ["demo@0", "demo@1", "demo@2"]
    summary = training.storage.trainings()[0]
    assert (summary.state, summary.stopped) == ("finished", "rounds")
    assert {graded.answer.policy for graded in training.storage.graded("demo", 2, Phase.GENERATE)} == {"demo@1"}
    assert {progress.step for progress in training.seen} == {"generate", "score", "improve", "measure"}


def test_policy_is_trained_only_on_right_answers_to_training_tasks(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.5, 0.9))
    record = training.run("rounds=1")[1]
    prompts = {task.prompt: task for task in training.storage.tasks("demo")}
    examples = training.examples(1)
    assert len(examples) == record.selected > 50
    for prompt, completion in examples:
        assert prompts[prompt].split is Split.TRAIN
        assert completion == prompts[prompt].reference["answer"]
    assert record.samples == 600
    assert 250 < record.correct < 350


def test_unfiltered_control_also_trains_on_wrong_answers(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.5, 0.5), "selection.filtered=False")
    training.run("rounds=1", "selection.filtered=False")
    assert any(completion != str(int(prompt.split("+")[0]) + 1) for prompt, completion in training.examples(1))


def test_policy_without_a_gain_is_not_published_and_ends_the_training(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.4, 0.4, 0.9))
    rounds = training.run("rounds=2")
    assert [(record.published, record.stop) for record in rounds] == [(True, ""), (False, "no gain")]
    assert training.run("rounds=5") == rounds
    summary = training.storage.trainings()[0]
    assert (summary.state, summary.stopped) == ("finished", "no gain")


def test_later_run_can_add_rounds(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.2, 0.5, 0.8))
    first = training.run("rounds=1")
    again = training.run("rounds=2")
    assert again[:2] == first
    assert len(again) == 3


def test_round_without_a_right_answer_is_reported_and_resumes_with_more_samples(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.0, 0.5))
    with pytest.raises(TrainingError, match=r"0 of 600 answers are right.*--samples-per-task") as caught:
        training.run("rounds=1")
    assert "\n" not in str(caught.value)
    assert training.storage.trainings()[0].state == "failed"
    training.chances = (0.3, 0.9)
    record = training.run("rounds=1", "samples_per_task=10")[1]
    assert record.samples == 1000
    assert 0 < record.correct < 200


def test_failing_verifier_is_reported_with_its_task_and_the_round_resumes(tmp_path: Path) -> None:
    class Fragile(ExactVerifier):
        broken = True

        def grade(self, task: Task, text: str) -> Grade:
            if self.broken and task.key == "7":
                raise ZeroDivisionError("oops")
            return super().grade(task, text)

    training = ScriptedTraining(tmp_path, (0.3, 0.9), verifier=Fragile)
    with pytest.raises(TrainingError, match="Fragile raised ZeroDivisionError on the task 7: oops"):
        training.run("rounds=1")
    answered = training.storage.answered("demo", 0, Phase.GREEDY)
    Fragile.broken = False
    assert len(training.run("rounds=1")) == 2
    assert training.storage.answered("demo", 0, Phase.GREEDY) == answered


def test_dpo_pairs_right_answers_with_wrong_answers_to_the_same_task(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.5, 0.9), "trainer.method='dpo'")
    record = training.run("rounds=1", "trainer.method='dpo'")[1]
    selected = training.storage.selected("demo", 1)
    reward = {
        (g.answer.task, g.answer.index): g.grade.reward for g in training.storage.graded("demo", 1, Phase.GENERATE)
    }
    assert len(selected) == record.selected > 50
    assert all(reward[pair.task, pair.answer] == 1 and reward[pair.task, pair.rejected or 0] == 0 for pair in selected)


def test_only_one_process_at_a_time_runs_a_training(tmp_path: Path) -> None:
    training = ScriptedTraining(tmp_path, (0.2, 0.5))
    with training.storage.lease_training("demo"), pytest.raises(FunsearchError, match="being written"):
        training.run()
