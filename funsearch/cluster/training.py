"""Runs a training on Ray: `funsearch.train`, and what the verb `funsearch train` calls."""

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from funsearch.cluster.policy_samplers import DedicatedSampler
from funsearch.cluster.session import start_ray
from funsearch.cluster.training_workers import RayTrainingWorkers
from funsearch.errors import ConfigError
from funsearch.rest_em.records import RoundRecord
from funsearch.sandbox import open_sandbox
from funsearch.search.search import DEFAULT_STORAGE
from funsearch.settings.parsing import SettingsLike, gathered_from
from funsearch.settings.training import TrainingSettings
from funsearch.storage import SqlStorage, open_storage
from funsearch.training.opening import Training, open_training
from funsearch.training.rounds import Rounds, Watch


def run_training(
    training: Training, storage: SqlStorage, watch: Watch, address: str | None = None
) -> list[RoundRecord]:
    """Runs the rounds of a training on Ray and returns those that have ended.

    Raises:
        FunsearchError: the training cannot continue; everything finished is saved.
    """
    settings, record = training.settings, training.record
    box = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)
    level = box.level
    box.close()
    # Calls to an interrupted sampler are made again, so that their failure is not worth a message.
    os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"
    start_ray(address)
    workers = RayTrainingWorkers(
        DedicatedSampler(settings, record.model),
        training.task_set.verifier(settings.tasks),
        level,
        verifier_seconds=settings.verifier_seconds,
        graders=settings.evaluators,
        grader_options={"num_cpus": 0 if address is None else 1},
    )
    with closing(workers):
        rounds = Rounds(
            record,
            settings,
            training.task_set,
            storage,
            workers,
            chat=training.chat,
            folder=training.folder,
            watch=watch,
        )
        return rounds.run()


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a training."""

    name: str
    rounds: Sequence[RoundRecord]
    """Those that have ended; round 0 is the base model."""
    policy: str
    """The best published policy, for `sampler="vllm:policy:NAME"`; that of round 0 is the base model."""


def train(
    tasks: str,
    *,
    model: str | Path = "",
    rounds: int | None = None,
    name: str | None = None,
    storage: str = DEFAULT_STORAGE,
    settings: SettingsLike | None = None,
    watch: Watch = lambda progress: None,
    ray: str | None = None,
    **options: object,
) -> Trained:
    """Trains a model on its own correct answers (ReST^EM), and returns when all rounds have ended.

    A training of the same name and the same settings resumes where it stood.

    Args:
        tasks: a task set, a JSON Lines file, or `run:RUN` for the samples of a search.
        model: the base model, a folder or a name on a hub; by default, the built-in model.
        rounds: at most; 0 measures the base model only.
        name: of the training; by default, after its tasks.
        storage: the URL of the database.
        settings: to start from: a dict with sections, or the path of a TOML file.
        watch: called with the progress of every step.
        ray: address of a Ray cluster; by default, Ray is started on this machine.
        options: further settings by name, as `samples_per_task=8` or `trainer={"rank": 16}`; a double underscore
            reaches into a section, as in `trainer__rank=16`.

    Raises:
        ConfigError: a setting is unknown or cannot be used, or the training was begun with other settings.
        FunsearchError: the training cannot continue; what was finished is saved.
    """
    if not isinstance(tasks, str) or not tasks.strip():
        raise ConfigError(f"tasks = {tasks!r:.80}: give a task set such as 'reasoning', a file, or 'run:RUN'.")
    if not isinstance(model, str | Path):
        raise ConfigError(f"model = {model!r:.80}: give a model's folder or its name on a hub.")
    if not isinstance(storage, str):
        raise ConfigError(f"storage = {storage!r:.80}: give the URL of a database, as sqlite:///runs.db.")
    checked = TrainingSettings.checked(gathered_from(settings, {"rounds": rounds, **options}))
    with closing(open_storage(storage)) as opened:
        training = open_training(tasks, str(model), checked, name, opened, time.time())
        done = run_training(training, opened, watch, ray)
    best = max(record.round for record in done if record.published)
    return Trained(training.record.name, done, next(record.policy for record in done if record.round == best))
