"""The rounds with a scripted model: what is trained on, what is published, and what is said when nothing can be."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


class Bench:
    """A training with a scripted model."""

    def __init__(self, folder: Path, chances: Sequence[float], *assignments: str, verifier: Any = None) -> None:
        lines = [{"prompt": f"{i}+1=", "answer": str(i + 1), "split": "train" if i % 2 else "held"} for i in range(200)]
        self.folder = folder
        file = folder / "sums.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.storage = open_storage("sqlite://")
        self.record = TrainingRecord("demo", str(file), "base", {}, 0.0)
        self.chances = chances
        self.verifier = verifier or ExactVerifier
        self.seen: list[RoundProgress] = []
        settings = self.settings(*assignments)
        self.set = open_task_set(str(file), settings.tasks, lambda run: self.set)
        tasks = self.set.tasks(settings.tasks, chat=False, seed=0)
        self.storage.create_training(self.record, tasks)
        self.answers = {task.prompt: task.reference["answer"] for task in tasks}

    def settings(self, *assignments: str) -> TrainingSettings:
        return TrainingSettings.load(None, [*SETTINGS, *assignments])

    def run(self, *assignments: str) -> list[RoundRecord]:
        generator = ScriptedPolicies(self.answers.__getitem__, self.chances)
        hands = LocalTrainingWorkers(lambda: generator, lambda _: self.verifier(), InProcessSandbox, RecordingTrainer())
        settings = self.settings(*assignments)
        return Rounds(
            self.record,
            settings,
            self.set,
            self.storage,
            hands,
            chat=False,
            folder=self.folder / "policies",
            watch=self.seen.append,
        ).run()

    def examples(self, round: int) -> list[list[str]]:
        found: list[list[str]] = json.loads((self.folder / "policies" / f"round-{round}" / "examples.json").read_text())
        return found


def test_rounds_go_on_while_the_policy_gets_better(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.2, 0.5, 0.8))
    rounds = bench.run("rounds=2")
    assert [(record.published, record.stop) for record in rounds] == [(True, "")] * 3
    held = [record.figures[Split.HELDOUT].sampled.value for record in rounds]
    assert held == sorted(held)
    assert [policy.name for policy in bench.storage.policies("demo")] == ["demo@0", "demo@1", "demo@2"]
    summary = bench.storage.trainings()[0]
    assert (summary.state, summary.stopped) == ("finished", "rounds")
    assert {one.answer.policy for one in bench.storage.graded("demo", 2, Phase.GENERATE)} == {"demo@1"}
    assert {progress.step for progress in bench.seen} == {"generate", "score", "improve", "measure"}


def test_only_right_answers_to_tasks_to_train_on_are_trained_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.5, 0.9))
    record = bench.run("rounds=1")[1]
    prompts = {task.prompt: task for task in bench.storage.tasks("demo")}
    examples = bench.examples(1)
    assert len(examples) == record.selected > 50
    for prompt, completion in examples:
        assert prompts[prompt].split is Split.TRAIN
        assert completion == prompts[prompt].reference["answer"]
    assert record.samples == 600
    assert 250 < record.correct < 350


def test_the_control_trains_on_wrong_answers_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.5, 0.5), "selection.filtered=False")
    bench.run("rounds=1", "selection.filtered=False")
    assert any(completion != str(int(prompt.split("+")[0]) + 1) for prompt, completion in bench.examples(1))


def test_policy_that_is_no_better_ends_the_training_and_is_not_published(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.4, 0.4, 0.9))
    rounds = bench.run("rounds=2")
    assert [(record.published, record.stop) for record in rounds] == [(True, ""), (False, "no gain")]
    assert bench.run("rounds=5") == rounds
    summary = bench.storage.trainings()[0]
    assert (summary.state, summary.stopped) == ("finished", "no gain")


def test_more_rounds_can_be_asked_for_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.2, 0.5, 0.8))
    first = bench.run("rounds=1")
    again = bench.run("rounds=2")
    assert again[:2] == first
    assert len(again) == 3


def test_round_without_a_right_answer_is_said_and_goes_on_with_more_samples(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.0, 0.5))
    with pytest.raises(TrainingError, match=r"0 of 600 answers are right.*--samples-per-task") as caught:
        bench.run("rounds=1")
    assert "\n" not in str(caught.value)
    assert bench.storage.trainings()[0].state == "failed"
    bench.chances = (0.3, 0.9)
    record = bench.run("rounds=1", "samples_per_task=10")[1]
    assert record.samples == 1000
    assert 0 < record.correct < 200


def test_verifier_that_raises_is_named_with_its_task_and_the_round_goes_on(tmp_path: Path) -> None:
    class Fragile(ExactVerifier):
        broken = True

        def grade(self, task: Task, text: str) -> Grade:
            if self.broken and task.key == "7":
                raise ZeroDivisionError("oops")
            return super().grade(task, text)

    bench = Bench(tmp_path, (0.3, 0.9), verifier=Fragile)
    with pytest.raises(TrainingError, match="Fragile raised ZeroDivisionError on the task 7: oops"):
        bench.run("rounds=1")
    asked = bench.storage.answered("demo", 0, Phase.GREEDY)
    Fragile.broken = False
    assert len(bench.run("rounds=1")) == 2
    assert bench.storage.answered("demo", 0, Phase.GREEDY) == asked


def test_dpo_prefers_right_answers_to_wrong_ones_of_the_same_task(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.5, 0.9), "trainer.method='dpo'")
    record = bench.run("rounds=1", "trainer.method='dpo'")[1]
    selected = bench.storage.selected("demo", 1)
    reward = {(g.answer.task, g.answer.index): g.grade.reward for g in bench.storage.graded("demo", 1, Phase.GENERATE)}
    assert len(selected) == record.selected > 50
    assert all(reward[one.task, one.answer] == 1 and reward[one.task, one.rejected or 0] == 0 for one in selected)


def test_a_training_is_run_by_one_process_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, (0.2, 0.5))
    with bench.storage.lease_training("demo"), pytest.raises(FunsearchError, match="being written"):
        bench.run()
