"""Starts a training, or finds the one that stands in the database: what `funsearch train` calls.

Policies of trainings are looked up here for searches, too.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funsearch.core.records import Limits
from funsearch.errors import ConfigError, FunsearchError, TrainingError
from funsearch.rest_em.ports import TaskSet
from funsearch.rest_em.records import Task, TrainingRecord
from funsearch.samplers.model_folder import expanded
from funsearch.samplers.prompt_format import wants_chat
from funsearch.samplers.text import COMPLETION_STOPS, chat_request
from funsearch.settings.search import Settings
from funsearch.settings.training import TrainingSettings, check_same
from funsearch.storage import SqlStorage
from funsearch.tasks.opening import open_task_set
from funsearch.tasks.searches import SearchTasks, search_tasks


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
    tasks: str, model: str, settings: TrainingSettings, name: str | None, storage: SqlStorage, now: float
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


def _search(run: str, storage: SqlStorage) -> SearchTasks:
    def limits(stored: Any, own: Limits) -> Limits:
        return Settings.restored(stored)[0].limits.override(own)

    return search_tasks(run, storage, limits, COMPLETION_STOPS, chat_request)


def _built_in() -> str:
    from funsearch.samplers.embedded import embedded_model

    return str(embedded_model())


def _folder(storage: SqlStorage) -> str:
    return str((storage.folder / "policies").resolve())
