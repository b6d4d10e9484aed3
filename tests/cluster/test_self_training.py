"""A search that trains its own model: a real tiny model, and scripted ones where things go wrong."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import coder_model
import pytest
import tiny_model

from funsearch.core.records import Prompt, RunRecord
from funsearch.errors import ConfigError, Interrupted, TrainingError
from funsearch.loading import Problem
from funsearch.rest_em.records import TrainingRecord
from funsearch.search.loop import Budget, SearchLoop
from funsearch.search.runs import new_run
from funsearch.search.workers import LocalWorkers
from funsearch.settings.samplers import check_policies, check_samplers
from funsearch.settings.search import ServedPolicy, Settings
from funsearch.settings.training import SelfTraining
from funsearch.storage import open_storage
from funsearch.storage.retrying import Retrying
from funsearch.testing import InProcessSandbox, RecordingTrainer, ScriptedPolicies
from funsearch.training.opening import Training
from funsearch.training.self_training import SelfTrainer
from funsearch.training.workers import LocalTrainingWorkers, TrainingWorkers

TINY = tiny_model.FOLDER
STEP = 160
LOOP = f"""
samples_per_prompt = 4
prompts_in_flight = 2
[database]
cluster_temperature = 20.0     # prompts show weak programs, too, which leaves room for improvement
[transformers]
max_tokens = 8
threads = 1
[train]
every = {STEP}
measure.samples = 1
gate.always = true            # test_rest_em.py tests that training improves a model
[train.trainer]
learning_rate = 1e-2
rank = 8
threads = 1
"""


@pytest.mark.ray
def test_search_trains_its_model_and_continues_with_the_new_policy(problem_file: Path, tmp_path: Path) -> None:
    for package in ("torch", "trl", "peft"):
        pytest.importorskip(package, reason="the trainer is not installed: make setup")
    coder_model.pretrain(tmp_path / "coder")
    (tmp_path / "loop.toml").write_text(LOOP)

    def funsearch(*args: object) -> str:
        command = [sys.executable, "-c", "from funsearch.cli import main; main()", *map(str, args)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr
        return done.stderr

    start = ("--sampler", f"transformers:{tmp_path}/coder", "--config", "loop.toml", "--islands", 2, "--name", "loop")
    log = funsearch("run", problem_file, *start, "--samples", STEP + 40)
    assert "step 1: published loop-step1@1: held-out pass@1 " in log, log
    funsearch("resume", "loop", "--samples", STEP + 60)
    funsearch("replay", "loop")

    storage = open_storage(f"sqlite:///{tmp_path}/funsearch.db")
    samples = [evaluation.sample for evaluation in storage.evaluations("loop") if evaluation.sample.prompt.index >= 0]
    storage.close()
    assert len(samples) == STEP + 60
    by_model = {
        model: sum(sample.model == model for sample in samples) for model in {sample.model for sample in samples}
    }
    assert by_model == {"coder": STEP, "loop-step1@1": 60}


SEARCHING = (
    "database.islands=2",
    "database.cluster_temperature=20.0",
    "prompts_in_flight=2",
    "train.every=40",
    "train.measure.samples=2",
    "train.gate.least_differing=1",
)


class Trial:
    """A session of a search with scripted programs, which trains a scripted model after every 40 samples.

    `chances` are the probabilities that the model, and what is trained from it, write a program that beats all others.
    """

    def __init__(
        self,
        problem: Problem,
        folder: Path,
        chances: tuple[float, float],
        *assignments: str,
        run: RunRecord | None = None,
        stop_at: str = "",
    ) -> None:
        self.url = f"sqlite:///{folder}/t.db"
        self.served: list[str] = []
        self.steps: list[str] = []
        """Names of the trainings that were run."""
        settings = Settings.load(None, [*SEARCHING, *assignments])
        self.storage = open_storage(self.url)
        record = run or new_run(problem, settings, self.storage, "none", "loop", time.time())
        self.loop = SearchLoop(record, problem, settings, self.storage)
        self._workers = LocalWorkers(Climber(), problem.scorer(InProcessSandbox()))
        policies = ScriptedPolicies(lambda prompt: "    return x * 1", chances)

        def make_workers(training: Training, stopped: Callable[[], bool]) -> Stopping:
            self.steps.append(training.record.name)
            verifier = training.task_set.verifier(training.settings.tasks)
            local = LocalTrainingWorkers(lambda: policies, verifier, InProcessSandbox, RecordingTrainer())
            return Stopping(stop_at, stopped, local)

        self.trainer = SelfTrainer(
            record.name,
            settings.train,
            settings.train.step(seed=0, prompt_format="completion"),
            str(TINY),
            None,
            storage=lambda: open_storage(self.url),
            retrying_policy=Retrying(0),
            workers=make_workers,
            serve=lambda policy: self.served.append(policy.name),
        )

    def run(self, samples: int | None, minutes: float | None = None) -> None:
        self.trainer.begin()
        self.loop.companion = self.trainer
        try:
            with self.storage.lease("loop"):
                self.loop.run(Budget(samples, minutes), self._workers)
        finally:
            self.trainer.stop()
            self._workers.close()
            self.storage.close()

    @property
    def samples(self) -> int:
        return self.loop.progress().samples


class Stopping:
    """Workers of a training of which one method waits until the search ends."""

    def __init__(self, method: str, stopped: Callable[[], bool], workers: TrainingWorkers) -> None:
        self._method = method
        self._stopped = stopped
        self._workers = workers

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            while not self._stopped():
                time.sleep(0.01)
            raise Interrupted("The search has ended.")
        return getattr(self._workers, name)


class Climber:
    """A sampler that writes ever better programs."""

    def __init__(self) -> None:
        self._next = 0

    def sample(self, prompt: Prompt, count: int) -> list[str]:
        first, self._next = self._next, self._next + 4
        return [f"    return x + {4 - number / 50}\n" for number in range(first, self._next)][:count]


@pytest.fixture
def trial(problem: Problem, tmp_path: Path) -> Callable[..., Trial]:
    pytest.importorskip("transformers", reason="the trainer is not installed: make setup")
    return partial(Trial, problem, tmp_path)


def test_better_policies_are_served_and_the_search_waits_for_them(trial: Callable[..., Trial]) -> None:
    session = trial((0.1, 0.9))
    session.run(100)
    assert session.served == ["loop-step1@1", "loop-step2@1"]
    storage = open_storage(session.url)
    published, beaten = storage.policies("loop-step1")[1], storage.policies("loop-step2")[0]
    assert beaten == replace(published, name="loop-step2@0", round=0)
    tasks = {step: {task.reference["prompt"] for task in storage.tasks(f"loop-step{step}")} for step in (1, 2)}
    assert max(tasks[1]) < 10 <= max(tasks[2]), "prompts beyond the fortieth sample were used already"


def test_policy_that_is_no_better_is_not_served(trial: Callable[..., Trial]) -> None:
    session = trial((0.9, 0.1))
    session.run(50)
    assert session.served == []
    assert session.trainer.outcome is not None
    assert session.trainer.outcome.startswith("step 1: not published")


def test_search_continues_when_a_step_fails(trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch) -> None:
    session = trial((0.5, 0.9))
    monkeypatch.setattr(RecordingTrainer, "improve", _no_memory)
    session.run(100)
    assert session.samples == 100
    assert session.trainer.outcome == "step 2: The trainer ran out of memory. The search continues."
    monkeypatch.undo()

    again = trial((0.5, 0.9), run=open_storage(session.url).run("loop"))
    again.run(110)
    assert again.served == ["loop-step2@1"], "the step was not resumed"


def test_resumed_run_begins_with_the_policy_it_had(trial: Callable[..., Trial]) -> None:
    first = trial((0.1, 0.9))
    first.run(50)
    again = trial((0.1, 0.1), run=open_storage(first.url).run("loop"))
    again.run(60)
    assert again.served == ["loop-step1@1"]
    assert again.steps == [], "a finished step was repeated"


@pytest.mark.parametrize("at", ["generate", "grade", "improve"])
@pytest.mark.parametrize("pause", [True, False])
def test_step_interrupted_by_the_end_of_a_search_resumes_in_the_next_session(
    trial: Callable[..., Trial], at: str, pause: bool
) -> None:
    session = trial((0.0, 1.0), f"train.pause={pause}", stop_at=at)
    session.run(None, minutes=0.03)
    assert session.samples == 40 if pause else session.samples > 40
    assert session.served == []
    storage = open_storage(session.url)
    (step,) = storage.trainings()
    assert (step.name, step.state) == (session.steps[0], "interrupted")

    again = trial((0.0, 1.0), run=open_storage(session.url).run("loop"))
    again.run(session.samples + 10)
    assert again.steps[0] == step.name
    assert again.served[0] == f"{step.name}@1"


def test_run_resumes_without_a_policy_whose_folder_is_gone(trial: Callable[..., Trial]) -> None:
    first = trial((0.1, 0.9))
    first.run(50)
    policy = open_storage(first.url).policies("loop-step1")[1]
    shutil.rmtree(policy.folder)
    again = trial((0.1, 0.1), run=open_storage(first.url).run("loop"))
    again.run(60)
    assert again.served == []
    assert again.trainer.outcome is not None
    assert "loop-step1@1 is missing from" in again.trainer.outcome
    assert again.samples == 60


def test_training_of_the_same_name_on_something_else_is_not_mistaken_for_a_step(trial: Callable[..., Trial]) -> None:
    session = trial((0.1, 0.9))
    storage = open_storage(session.url)
    storage.create_training(TrainingRecord("loop-step1", "sums.jsonl", str(TINY), {}, 0.0), [])
    session.run(50)
    assert session.served == []
    assert session.samples == 50
    assert session.trainer.outcome is not None
    assert "started with the tasks sums.jsonl, not run:loop" in session.trainer.outcome


def test_policy_that_is_a_whole_model_is_not_trained_further() -> None:
    policy = ServedPolicy(name="x@1", base="b", folder="f", kind="full")
    settings = Settings(samplers=("vllm:policy:x",), policies={"x": policy})
    check_policies(settings)
    with pytest.raises(ConfigError, match="x@1 has weights of its own"):
        check_policies(settings.model_copy(update={"train": SelfTraining(every=5)}))


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        (["samplers=('openai:gpt',)"], "if it has one sampler that serves it"),
        (["samplers=('vllm', 'vllm')"], "if it has one sampler that serves it"),
        (["train.trainer.full=true"], "a search can use adapters only"),
    ],
)
def test_search_that_cannot_train_its_model_is_refused(assignments: list[str], says: str) -> None:
    pytest.importorskip("trl", reason="the trainer is not installed: make setup")
    with pytest.raises(ConfigError, match=says):
        check_samplers(Settings.load(None, ["train.every=5", *assignments]))


def test_steps_have_defaults_of_their_own_beside_the_settings() -> None:
    train = Settings.load(None, ["train.every=5", "train.measure.top_p=0.5", "train.tasks.tau=1"]).train
    assert (train.measure.samples, train.measure.top_p) == (4, 0.5)
    assert (train.tasks.tau, train.tasks.heldout, train.gate.pass_at_1) == (1, 100, "sampled")


def _no_memory(*_: object) -> None:
    raise TrainingError("The trainer ran out of memory.")


def test_search_without_the_trainer_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funsearch.trainers.trl.REQUIRED", ("no_such_package",))
    with pytest.raises(TrainingError, match=r'Training needs no_such_package: pip install "funsearch\[train\]"'):
        check_samplers(Settings.load(None, ["train.every=5"]))
