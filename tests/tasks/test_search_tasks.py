"""The samples of a search as tasks: improving on the shown programs is rewarded, and whole islands are held out."""

import math
from pathlib import Path

import pytest

from funsearch.core.records import Limits
from funsearch.errors import TrainingError
from funsearch.loading import load_problem
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.records import Graded, Phase, Selected, Split, TrainingRecord
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.search import Search
from funsearch.settings.search import Settings
from funsearch.settings.training import TrainingSettings
from funsearch.storage import SqlStorage, open_storage
from funsearch.tasks.searches import SearchTasks, search_tasks
from funsearch.testing import (
    InProcessSandbox,
    RecordingTrainer,
    ScriptedPolicies,
)
from funsearch.training.rounds import Rounds
from funsearch.training.workers import LocalTrainingWorkers

PROBLEM = '''"""Finds a number close to seven."""
import funsearch

@funsearch.run
def evaluate(n):
    return -abs(guess(n) - 7.0)

@funsearch.evolve
def guess(n):
    """Returns a number."""
    return 0.0

INPUTS = {"n": 1}
'''
SAMPLES = 160


def request(prompt: str) -> str:
    return f"Write better:\n{prompt}"


@pytest.fixture
def storage(tmp_path: Path) -> SqlStorage:
    """A storage with the run `seven`."""
    file = tmp_path / "seven.py"
    file.write_text(PROBLEM)
    problem = load_problem(str(file))
    answers = [f"    return {(i * 37) % 101 / 10}\n" if i % 5 else "    return n +\n" for i in range(SAMPLES)]
    settings = Settings.load(None, ["database.islands=4", "prompts_in_flight=2"])
    storage = open_storage("sqlite://")
    with Search(
        problem,
        sampler=ScriptedSampler(answers, 4),
        sandbox=InProcessSandbox(),
        storage=storage,
        settings=settings,
        name="seven",
    ) as search:
        search.run()
    return storage


def open_run(storage: SqlStorage) -> SearchTasks:
    return search_tasks("seven", storage, lambda settings, limits: limits, ("\ndef ",), request)


def test_whole_islands_are_held_out(storage: SqlStorage) -> None:
    tasks = open_run(storage).tasks(TaskOptions(), chat=False, seed=0)
    families = {split: {task.family for task in tasks if task.split is split} for split in Split}
    assert len(families[Split.HELDOUT]) == 1
    assert len(families[Split.TRAIN]) == 3
    assert not families[Split.TRAIN] & families[Split.HELDOUT]
    assert len({task.prompt for task in tasks}) == len(tasks)
    chat = open_run(storage).tasks(TaskOptions(), chat=True, seed=0)
    assert [task.prompt for task in chat] == [request(task.prompt) for task in tasks]


def test_recorded_samples_are_rewarded_for_beating_the_best_program_shown(storage: SqlStorage) -> None:
    task_set = open_run(storage)
    tasks = task_set.tasks(TaskOptions(), chat=False, seed=0)
    recorded = list(task_set.recorded(tasks))
    evaluations = list(storage.evaluations("seven"))
    trained = {task.index: task for task in tasks if task.split is Split.TRAIN}
    assert {item.answer.task for item in recorded} <= set(trained)
    by_text = {evaluation.sample.text: evaluation for evaluation in evaluations}
    rewarded = 0
    for item in recorded:
        evaluation = by_text[item.answer.text]
        floor = trained[item.answer.task].reference["floor"]
        better = evaluation.score is not None and evaluation.score > floor
        assert item.grade.reward == float(better)
        assert (item.answer.round, item.answer.policy) == (1, "scripted")
        rewarded += better
    assert 0 < rewarded < len(recorded)
    for task in tasks:
        prompt = next(e.sample.prompt for e in evaluations if e.sample.prompt.index == task.reference["prompt"])
        shown = [evaluations[parent].score for parent in prompt.parents]
        assert task.reference["floor"] == max(score for score in shown if score is not None)


def test_verifier_scores_as_the_search_did(storage: SqlStorage) -> None:
    task_set = open_run(storage)
    tasks = task_set.tasks(TaskOptions(), chat=False, seed=0)
    verifier = task_set.verifier(TaskOptions())(InProcessSandbox)
    by_index = {task.index: task for task in tasks}
    for item in list(task_set.recorded(tasks))[:40]:
        grade = verifier.grade(by_index[item.answer.task], item.answer.text)
        assert (grade.reward, grade.keys) == (item.grade.reward, item.grade.keys)
    assert verifier.grade(tasks[0], "    return 7.0\n").reward == 1.0
    assert verifier.grade(tasks[0], "    return 'x'\n").reward == 0.0


def test_programs_with_equal_scores_are_duplicates(storage: SqlStorage) -> None:
    verifier = open_run(storage).verifier(TaskOptions())(InProcessSandbox)
    task = open_run(storage).tasks(TaskOptions(), chat=False, seed=0)[0]
    constant, sum_ = verifier.grade(task, "    return 6.0\n"), verifier.grade(task, "    return 3.0 + 3.0\n")
    assert set(constant.keys) & set(sum_.keys)
    assert constant.keys != sum_.keys


def test_threshold_is_a_number_or_a_percentile_of_gains(storage: SqlStorage) -> None:
    task_set = open_run(storage)
    assert task_set.threshold(0.5) == 0.5
    low, high = task_set.threshold("p10"), task_set.threshold("p90")
    assert 0 < low < high < math.inf
    with pytest.raises(TrainingError, match=r"tasks\.tau = 'much'"):
        task_set.threshold("much")
    rewards = [
        sum(item.grade.reward for item in task_set.recorded(task_set.tasks(TaskOptions(tau=tau), chat=False, seed=0)))
        for tau in (0.0, "p90")
    ]
    assert rewards[0] > rewards[1]


def test_run_without_prompts_is_refused(storage: SqlStorage) -> None:
    empty = open_storage("sqlite://")
    empty.create_run(storage.run("seven"))
    with pytest.raises(TrainingError, match="seven has no prompt that shows a program"):
        search_tasks("seven", empty, lambda stored, limits: Limits(), (), request)


def test_first_round_trains_on_the_recorded_samples_and_the_second_generates_its_own(
    storage: SqlStorage, tmp_path: Path
) -> None:
    task_set = open_run(storage)
    assignments = ["samples_per_task=4", "measure.samples=4", "gate.pass_at_1=sampled", "gate.least_differing=1"]
    settings = TrainingSettings.load(None, assignments)
    trainings = storage
    record = TrainingRecord("demo", "run:seven", "base", {}, 0.0)
    trainings.create_training(record, task_set.tasks(settings.tasks, chat=False, seed=0))
    # Wrong answers have additional digits at the end, which take them far from seven.
    generator = ScriptedPolicies(lambda prompt: "    return -7.0 * -1", (0.05, 0.5, 0.95))
    hands = LocalTrainingWorkers(
        lambda: generator, task_set.verifier(settings.tasks), InProcessSandbox, RecordingTrainer()
    )
    rounds = Rounds(record, settings, task_set, trainings, hands, chat=False, folder=tmp_path / "policies").run()
    assert [record.published for record in rounds] == [True, True, True]
    first, second = (list(trainings.graded("demo", round, Phase.GENERATE)) for round in (1, 2))
    assert {item.answer.policy for item in first} == {"scripted"}
    assert {item.answer.policy for item in second} == {"demo@1"}
    keys = [g.grade.keys for s in trainings.selected("demo", 1) for g in first if refers_to(s, g)]
    assert len(keys) == rounds[1].selected > 3
    assert len({key for answer_keys in keys for key in answer_keys}) == 2 * len(keys), "a duplicate was trained on"


def refers_to(selected: Selected, graded: Graded) -> bool:
    return (selected.task, selected.answer) == (graded.answer.task, graded.answer.index)
