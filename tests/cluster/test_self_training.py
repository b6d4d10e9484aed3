"""A search that trains its own model: for real with a tiny one, and with a scripted one where things go wrong."""

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

from funsearch.core.records import Prompt, RunRecord, Sample
from funsearch.errors import ConfigError, Interrupted, TrainingError
from funsearch.loading import Problem
from funsearch.rest_em.records import TrainingRecord
from funsearch.search.search import Search
from funsearch.settings.samplers import check_policies, check_samplers
from funsearch.settings.search import ServedPolicy, Settings
from funsearch.settings.training import SelfTraining
from funsearch.storage import open_storage, open_training_storage
from funsearch.storage.retrying import Retrying
from funsearch.testing import InProcessSandbox, RecordingTrainer, ScriptedGenerator
from funsearch.training.opening import Training
from funsearch.training.self_training import ClosedLoop
from funsearch.training.workers import LocalTrainingWorkers, TrainingWorkers

TINY = tiny_model.FOLDER
STEP = 160
LOOP = f"""
samples_per_prompt = 4
prompts_in_flight = 2
[database]
cluster_temperature = 20.0     # weak programs are shown, too, so that there is something to improve on
[transformers]
max_tokens = 8
threads = 1
[train]
every = {STEP}
measure.samples = 1
gate.always = true            # that training makes better is tested in test_rest_em.py
[train.trainer]
learning_rate = 1e-2
rank = 8
threads = 1
"""


@pytest.mark.ray
def test_search_trains_its_model_and_goes_on_with_what_came_of_it(problem_file: Path, tmp_path: Path) -> None:
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
    said = funsearch("run", problem_file, *start, "--samples", STEP + 40)
    assert "step 1: published loop-step1@1: held-out pass@1 " in said, said
    funsearch("resume", "loop", "--samples", STEP + 60)
    funsearch("replay", "loop")

    storage = open_storage(f"sqlite:///{tmp_path}/funsearch.db")
    samples = [one.sample for one in storage.evaluations("loop") if one.sample.prompt.index >= 0]
    storage.close()
    assert len(samples) == STEP + 60
    by_model = {model: sum(sample.model == model for sample in samples) for model in {one.model for one in samples}}
    assert by_model == {"coder": STEP, "loop-step1@1": 60}


SEARCHING = (
    "database.islands=2",
    "database.cluster_temperature=20.0",
    "prompts_in_flight=2",
    "train.every=40",
    "train.measure.samples=2",
    "train.gate.least_differing=1",
)


class Bench:
    """A search of scripted programs, that trains a scripted model each time it has 40 samples more.

    `chances` are those of the model and of what is trained, to write a program that beats all.
    """

    def __init__(
        self,
        problem: Problem,
        folder: Path,
        chances: tuple[float, float],
        *more: str,
        run: RunRecord | None = None,
        stop_at: str = "",
    ) -> None:
        self.url = f"sqlite:///{folder}/t.db"
        self.served: list[str] = []
        self.asked: list[str] = []
        settings = Settings.load(None, [*SEARCHING, *more])
        self.search = Search(
            problem,
            sampler=Climber(),
            sandbox=InProcessSandbox(),
            storage=self.url,
            settings=settings,
            name="loop",
            run=run,
        )
        generator = ScriptedGenerator(lambda task: "    return x * 1", chances)

        def hands(training: Training, stopped: Callable[[], bool]) -> Stopping:
            self.asked.append(training.record.name)
            verifier = training.task_set.verifier(training.settings.tasks)
            return Stopping(
                stop_at,
                stopped,
                LocalTrainingWorkers(lambda: generator, verifier, InProcessSandbox, RecordingTrainer()),
            )

        self.loop = ClosedLoop(
            self.search,
            settings.train,
            settings.train.step(seed=0, prompt_format="completion"),
            str(TINY),
            None,
            storage=lambda: open_training_storage(self.url),
            retrying_policy=Retrying(0),
            hands=hands,
            serve=lambda policy: self.served.append(policy.name),
        )

    def run(self, samples: int | None, minutes: float | None = None) -> None:
        self.loop.begin()
        try:
            self.search.run(max_samples=samples, minutes=minutes)
        finally:
            self.loop.stop()
            self.search.close()


class Stopping:
    """Does what other hands do, until it comes to what it shall stop at: there it waits until the search ends."""

    def __init__(self, at: str, stopped: Callable[[], bool], hands: TrainingWorkers) -> None:
        self._at = at
        self._stopped = stopped
        self._hands = hands

    def __getattr__(self, name: str) -> Any:
        if name == self._at:
            while not self._stopped():
                time.sleep(0.01)
            raise Interrupted("The search has ended.")
        return getattr(self._hands, name)


class Climber:
    """A sampler that writes ever better programs."""

    def __init__(self) -> None:
        self._next = 0

    def sample(self, prompt: Prompt, at_most: int | None = None) -> list[Sample]:
        first, self._next = self._next, self._next + 4
        bodies = [f"    return x + {4 - number / 50}\n" for number in range(first, self._next)]
        return [Sample(prompt, index, body, "climber", "stop") for index, body in enumerate(bodies)][:at_most]

    def close(self) -> None:
        pass


@pytest.fixture
def bench(problem: Problem, tmp_path: Path) -> Callable[..., Bench]:
    pytest.importorskip("transformers", reason="the trainer is not installed: make setup")
    return partial(Bench, problem, tmp_path)


def test_better_policies_are_served_and_the_search_waits_for_them(bench: Callable[..., Bench]) -> None:
    one = bench((0.1, 0.9))
    one.run(100)
    assert one.served == ["loop-step1@1", "loop-step2@1"]
    storage = open_training_storage(one.url)
    published, beaten = storage.policies("loop-step1")[1], storage.policies("loop-step2")[0]
    assert beaten == replace(published, name="loop-step2@0", round=0)
    tasks = {step: {task.reference["prompt"] for task in storage.tasks(f"loop-step{step}")} for step in (1, 2)}
    assert max(tasks[1]) < 10 <= max(tasks[2]), "prompts beyond the fortieth sample were there already"


def test_policy_that_is_no_better_is_not_served(bench: Callable[..., Bench]) -> None:
    one = bench((0.9, 0.1))
    one.run(50)
    assert one.served == []
    assert one.loop.outcome is not None
    assert one.loop.outcome.startswith("step 1: not published")


def test_search_goes_on_when_a_step_cannot_be_done(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench((0.5, 0.9))
    monkeypatch.setattr(RecordingTrainer, "improve", _no_memory)
    one.run(100)
    assert one.search.progress().samples == 100
    assert one.loop.outcome == "step 2: The trainer ran out of memory. The search goes on."
    monkeypatch.undo()

    again = bench((0.5, 0.9), run=open_storage(one.url).run("loop"))
    again.run(110)
    assert again.served == ["loop-step2@1"], "the step was not taken up"


def test_run_that_goes_on_begins_with_the_policy_it_had(bench: Callable[..., Bench]) -> None:
    first = bench((0.1, 0.9))
    first.run(50)
    again = bench((0.1, 0.1), run=open_storage(first.url).run("loop"))
    again.run(60)
    assert again.served == ["loop-step1@1"]
    assert again.asked == [], "a step that was done is done again"


@pytest.mark.parametrize("at", ["generate", "grade", "improve"])
@pytest.mark.parametrize("pause", [True, False])
def test_step_that_the_end_of_a_search_breaks_off_goes_on_in_the_next_session(
    bench: Callable[..., Bench], at: str, pause: bool
) -> None:
    one = bench((0.0, 1.0), f"train.pause={pause}", stop_at=at)
    one.run(None, minutes=0.03)
    assert one.search.progress().samples == 40 if pause else one.search.progress().samples > 40
    assert one.served == []
    storage = open_training_storage(one.url)
    (step,) = storage.trainings()
    assert (step.name, step.state) == (one.asked[0], "interrupted")

    again = bench((0.0, 1.0), run=open_storage(one.url).run("loop"))
    again.run(one.search.progress().samples + 10)
    assert again.asked[0] == step.name
    assert again.served[0] == f"{step.name}@1"


def test_policy_whose_folder_is_gone_does_not_keep_a_run_from_going_on(bench: Callable[..., Bench]) -> None:
    first = bench((0.1, 0.9))
    first.run(50)
    policy = open_training_storage(first.url).policies("loop-step1")[1]
    shutil.rmtree(policy.folder)
    again = bench((0.1, 0.1), run=open_storage(first.url).run("loop"))
    again.run(60)
    assert again.served == []
    assert again.loop.outcome is not None
    assert "loop-step1@1 is not in" in again.loop.outcome
    assert again.search.progress().samples == 60


def test_training_of_the_same_name_on_something_else_is_not_taken_for_a_step(bench: Callable[..., Bench]) -> None:
    one = bench((0.1, 0.9))
    storage = open_training_storage(one.url)
    storage.create_training(TrainingRecord("loop-step1", "sums.jsonl", str(TINY), {}, 0.0), [])
    one.run(50)
    assert one.served == []
    assert one.search.progress().samples == 50
    assert one.loop.outcome is not None
    assert "started with the tasks sums.jsonl, not run:loop" in one.loop.outcome


def test_policy_of_a_whole_model_is_not_trained_on_top_of() -> None:
    policy = ServedPolicy(name="x@1", base="b", folder="f", kind="full")
    settings = Settings(samplers=("vllm:policy:x",), policies={"x": policy})
    check_policies(settings)
    with pytest.raises(ConfigError, match="x@1 has weights of its own"):
        check_policies(settings.model_copy(update={"train": SelfTraining(every=5)}))


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        (["samplers=('openai:gpt',)"], "its one sampler"),
        (["samplers=('vllm', 'vllm')"], "its one sampler"),
        (["train.trainer.full=true"], "takes up adapters only"),
    ],
)
def test_searches_that_cannot_train_their_model_say_so(assignments: list[str], says: str) -> None:
    pytest.importorskip("trl", reason="the trainer is not installed: make setup")
    with pytest.raises(ConfigError, match=says):
        check_samplers(Settings.load(None, ["train.every=5", *assignments]))


def test_steps_have_defaults_of_their_own_beside_what_is_set() -> None:
    train = Settings.load(None, ["train.every=5", "train.measure.top_p=0.5", "train.tasks.tau=1"]).train
    assert (train.measure.samples, train.measure.top_p) == (4, 0.5)
    assert (train.tasks.tau, train.tasks.heldout, train.gate.pass_at_1) == (1, 100, "sampled")


def _no_memory(*_: object) -> None:
    raise TrainingError("The trainer ran out of memory.")


def test_search_without_the_trainer_says_so_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funsearch.trainers.trl.NEEDED", ("no_such_package",))
    with pytest.raises(TrainingError, match=r'Training needs no_such_package: pip install "funsearch\[train\]"'):
        check_samplers(Settings.load(None, ["train.every=5"]))
