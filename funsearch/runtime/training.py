"""Starts a training, or finds the one that stands in the database: what `funsearch train` calls.

Policies of trainings are looked up here for searches, too.
"""

import json
import os
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import make_url

from funsearch.core.records import Limits
from funsearch.errors import ConfigError, FunsearchError, TrainingError
from funsearch.rest_em.ports import TaskSet
from funsearch.rest_em.records import Policy, RoundRecord, Split, Task, TrainingRecord
from funsearch.rest_em.task_sets import open_task_set
from funsearch.rest_em.tasks.searches import SearchTasks, search_tasks
from funsearch.runtime.limits import merged_limits
from funsearch.runtime.make import POLICY
from funsearch.runtime.ray_session import start_ray
from funsearch.runtime.rounds import Rounds, Watch
from funsearch.runtime.settings import ServedPolicy, Settings
from funsearch.runtime.training_settings import TrainingSettings, check_same
from funsearch.samplers.model_folder import expanded
from funsearch.samplers.prompt_format import wants_chat
from funsearch.samplers.text import COMPLETION_STOPS, chat_request
from funsearch.sandbox import open_sandbox
from funsearch.storage import SqlTrainingStorage, open_training_storage

RECOVERABLE = "rounds"
"""State of a training that has had all rounds it was asked for, and may be asked for more."""


@dataclass(frozen=True, slots=True)
class Training:
    """A training that stands in the database, ready to go on."""

    record: TrainingRecord
    settings: TrainingSettings
    task_set: TaskSet
    chat: bool
    begun: bool
    """Whether it had been begun before."""

    @property
    def folder(self) -> Path:
        """Returns where its policies go. One of the same name in another database has another."""
        return Path(self.settings.folder) / f"{self.record.name}-{int(self.record.created)}"


def open_training(
    tasks: str, model: str, settings: TrainingSettings, name: str | None, storage: SqlTrainingStorage, now: float
) -> Training:
    """Returns the training of that name; a new one is written with its tasks.

    Args:
        tasks: what is trained on, as the user wrote it.
        model: the base model; empty for the built-in one.
        settings: as the user wants them.
        name: None to call it after its tasks.
        storage: where it is kept.
        now: seconds since the epoch.

    Raises:
        FunsearchError: the tasks or the model cannot be had, or a training of that name was begun differently.
    """
    name = name or re.sub(r"[^\w.-]+", "-", Path(tasks).stem if tasks.endswith((".jsonl", ".json")) else tasks)
    if "@" in name or "/" in name:
        raise ConfigError(f"--name {name}: a training's name has no @ and no /.")
    model = expanded(model or _built_in())
    task_set = open_task_set(tasks, settings.tasks, lambda run: _search(run, storage))
    if name in {summary.name for summary in storage.trainings()}:
        record = storage.training(name)
        settings = _as_before(record, tasks, model, settings)
        return Training(record, settings, task_set, settings.prompt_format == "chat", True)
    chat = wants_chat(model, settings.prompt_format)
    made = _made_tasks(task_set, settings, chat)
    changed = {"prompt_format": "chat" if chat else "completion", "folder": settings.folder or _folder(storage)}
    settings = settings.model_copy(update=changed)
    record = TrainingRecord(name, tasks, model, settings.model_dump(mode="json"), now)
    storage.create_training(record, made)
    return Training(record, settings, task_set, chat, False)


def run_training(
    training: Training, storage: SqlTrainingStorage, watch: Watch, address: str | None = None
) -> list[RoundRecord]:
    """Runs the rounds of a training on Ray and returns those that have ended.

    Raises:
        FunsearchError: it could not go on; what was finished is saved.
    """
    from funsearch.runtime.policy_samplers import OwnSampler
    from funsearch.runtime.training_actors import RayHands

    settings, record = training.settings, training.record
    box = open_sandbox(settings.sandbox.level, unsafe=settings.sandbox.unsafe)
    level = box.level
    box.close()
    # What an interrupted sampler had at work is asked for again; nobody need be told that it failed.
    os.environ["RAY_IGNORE_UNHANDLED_ERRORS"] = "1"
    start_ray(address)
    verifier = training.task_set.verifier(settings.tasks)
    samplers = OwnSampler(settings, record.model)
    graders = RayHands(
        samplers,
        verifier,
        level,
        verifier_seconds=settings.verifier_seconds,
        graders=settings.evaluators,
        grader_options={"num_cpus": 0 if address is None else 1},
    )
    with closing(graders) as hands:
        rounds = Rounds(
            record,
            settings,
            training.task_set,
            storage,
            hands,
            chat=training.chat,
            folder=training.folder,
            watch=watch,
        )
        return rounds.run()


def best_policy(storage: SqlTrainingStorage, name: str) -> Policy:
    """Returns a policy by its name `TRAINING@ROUND`, or the best published one of a training.

    Raises:
        StorageError: there is no such training.
        TrainingError: it has no such policy, or none yet.
    """
    training, at, _round = name.partition("@")
    policies = storage.policies(training)
    if at:
        found = [policy for policy in policies if policy.name == name]
    else:
        published = [record.round for record in storage.rounds(training) if record.published]
        found = [policy for policy in policies if published and policy.round == max(published)]
    if not found:
        known = ", ".join(policy.name for policy in policies) or "none yet"
        raise TrainingError(f"There is no policy {name}: the training {training} has {known}.")
    return found[0]


def with_policies(settings: Settings, db: str) -> Settings:
    """Returns the settings with the policies that their samplers name looked up in the database.

    Raises:
        FunsearchError: one of them is not there.
    """
    names = [
        spec.removeprefix("vllm:").removeprefix(POLICY)
        for spec in settings.samplers
        if spec.startswith(f"vllm:{POLICY}")
    ]
    if not names:
        return settings
    with closing(open_training_storage(db, create=False)) as storage:
        found = {name: _served(best_policy(storage, name)) for name in names}
    return settings.model_copy(update={"policies": found})


def _made_tasks(task_set: TaskSet, settings: TrainingSettings, chat: bool) -> list[Task]:
    """Returns the tasks of a new training.

    Raises:
        TrainingError: they cannot be had, or the task set itself fails.
    """
    # It may be anybody's.
    try:
        return task_set.tasks(settings.tasks, chat=chat, seed=settings.seed)
    except FunsearchError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The task set {task_set.name} makes no tasks: {type(error).__name__}: {error}. Mend it, and try again."
        ) from error


def _served(policy: Policy) -> ServedPolicy:
    rank = 0
    if policy.kind == "lora":
        try:
            rank = int(json.loads((Path(policy.folder) / "adapter_config.json").read_text(encoding="utf-8"))["r"])
        except (OSError, ValueError, KeyError, TypeError):
            raise TrainingError(
                f"The adapter of the policy {policy.name} is not in {policy.folder}, or not whole: bring it back, or "
                "train anew under another --name."
            ) from None
    kind = cast(Literal["base", "lora", "full"], policy.kind)
    return ServedPolicy(name=policy.name, base=policy.base, folder=policy.folder, kind=kind, rank=rank)


def _as_before(record: TrainingRecord, tasks: str, model: str, settings: TrainingSettings) -> TrainingSettings:
    """Returns the settings with which a training goes on.

    Raises:
        ConfigError: it was begun with others.
    """
    for what, old, new in (("the tasks", record.tasks, tasks), ("the model", record.model, model)):
        if old != new:
            raise ConfigError(
                f"The training {record.name} was begun with {what} {old}, not {new}: give the same, or another --name."
            )
    before = TrainingSettings.restored(record.settings)
    if settings.prompt_format == "auto":
        settings = settings.model_copy(update={"prompt_format": before.prompt_format})
    if not settings.folder:
        settings = settings.model_copy(update={"folder": before.folder})
    check_same(before, settings, record.name)
    return settings


def _search(run: str, storage: SqlTrainingStorage) -> SearchTasks:
    def limits(stored: Any, own: Limits) -> Limits:
        return merged_limits(own, Settings.restored(stored)[0])

    return search_tasks(run, storage, limits, COMPLETION_STOPS, chat_request)


def _built_in() -> str:
    from funsearch.samplers.embedded import embedded_model

    return str(embedded_model())


def _folder(storage: SqlTrainingStorage) -> str:
    url = make_url(storage.engine.url)
    beside = Path(url.database).parent if url.get_backend_name() == "sqlite" and url.database else Path()
    return str((beside / "policies").resolve())


def summary(name: str, rounds: Sequence[RoundRecord], how: str) -> dict[str, Any]:
    """Returns the object that `funsearch train --json` prints."""
    published = [record for record in rounds if record.published]
    best = max(published, key=lambda record: record.round) if published else None
    return {
        "name": name,
        "rounds": [round_summary(record, how) for record in rounds],
        "best_round": best.round if best else None,
        "policy": best.policy if best else None,
        "stopped": (rounds[-1].stop or RECOVERABLE) if rounds else None,
    }


def round_summary(record: RoundRecord, how: str) -> dict[str, Any]:
    """Returns a round in figures; `how` says which pass@1 is meant, `greedy` or `sampled`."""
    one = {split: getattr(figures, how) for split, figures in record.figures.items()}
    held = record.figures[Split.HELD]
    gain = record.gain
    return {
        "round": record.round,
        "samples": record.samples,
        "correct": record.correct,
        "selected": record.selected,
        "heldout_pass1": one[Split.HELD].value,
        "heldout_pass1_se": one[Split.HELD].error,
        "train_pass1": one[Split.TRAIN].value if Split.TRAIN in one else None,
        "transfer_pass1": one[Split.TRANSFER].value if Split.TRANSFER in one else None,
        "published": record.published,
        "train_pass1_se": one[Split.TRAIN].error if Split.TRAIN in one else None,
        "transfer_pass1_se": one[Split.TRANSFER].error if Split.TRANSFER in one else None,
        "heldout_greedy": held.greedy.value,
        "heldout_sampled": held.sampled.value,
        "heldout_sampled_se": held.sampled.error,
        "heldout_passk": held.pass_k.value,
        "heldout_majorityk": held.majority_k.value,
        "k": held.k,
        "gain": None if gain is None else [gain.mean, gain.lower, gain.upper],
        "policy": record.policy,
        "reason": record.reason,
    }
