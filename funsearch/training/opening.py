"""Opens trainings: creates a new one, or finds a recorded one to resume. Called by `funsearch train`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    """A recorded training with its task set, ready to start or resume."""

    record: TrainingRecord
    settings: TrainingSettings
    task_set: TaskSet
    chat: bool
    """Whether tasks are messages in a chat, rather than texts to continue."""

    @property
    def folder(self) -> Path:
        """The folder of its policies; a training of the same name in another database has a different one."""
        return Path(self.settings.folder) / f"{self.record.name}-{int(self.record.created)}"


def open_training(
    tasks: str, model: str, settings: TrainingSettings, name: str | None, storage: SqlStorage, now: float
) -> Training:
    """Returns the recorded training of that name, or creates it with its tasks.

    Args:
        tasks: the specification of the task set.
        model: the base model; empty for the built-in model.
        settings: of the training.
        name: of the training; None to name it after its tasks.
        storage: to read from and write to.
        now: seconds since the epoch.

    Raises:
        FunsearchError: the tasks or the model cannot be loaded, or the recorded training of that name has other tasks,
            another model or other settings.
    """
    name = name or re.sub(r"[^\w.-]+", "-", Path(tasks).stem if tasks.endswith((".jsonl", ".json")) else tasks)
    if "@" in name or "/" in name:
        raise ConfigError(f"--name {name}: choose a name without @ and /.")
    model = expanded(model or _built_in())
    task_set = open_task_set(tasks, settings.tasks, lambda run: _search(run, storage))
    if name in {summary.name for summary in storage.trainings()}:
        record = storage.training(name)
        settings = _resumed_settings(record, tasks, model, settings)
        return Training(record, settings, task_set, settings.prompt_format == "chat")
    chat = wants_chat(model, settings.prompt_format)
    new_tasks = _new_tasks(task_set, settings, chat)
    resolved = {"prompt_format": "chat" if chat else "completion", "folder": settings.folder or _folder(storage)}
    settings = settings.model_copy(update=resolved)
    record = TrainingRecord(name, tasks, model, settings.model_dump(mode="json"), now)
    storage.create_training(record, new_tasks)
    return Training(record, settings, task_set, chat)


def _new_tasks(task_set: TaskSet, settings: TrainingSettings, chat: bool) -> list[Task]:
    """Returns the tasks of a new training.

    Raises:
        TrainingError: the task set raised an exception of its own.
    """
    # A task set may be the user's code.
    try:
        return task_set.tasks(settings.tasks, chat=chat, seed=settings.seed)
    except FunsearchError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The task set {task_set.name} raised {type(error).__name__}: {error}. Fix it, then run the same command "
            "again."
        ) from error


def _resumed_settings(record: TrainingRecord, tasks: str, model: str, settings: TrainingSettings) -> TrainingSettings:
    """Returns the settings with which a training is resumed.

    Raises:
        ConfigError: the training was started with other tasks, another model, or settings that must not change.
    """
    for what, recorded, given in (("tasks", record.tasks, tasks), ("model", record.model, model)):
        if recorded != given:
            raise ConfigError(
                f"The training {record.name} was started with the {what} {recorded}, not {given}: use the same {what}, "
                "or another --name."
            )
    recorded_settings = TrainingSettings.restored(record.settings)
    if settings.prompt_format == "auto":
        settings = settings.model_copy(update={"prompt_format": recorded_settings.prompt_format})
    if not settings.folder:
        settings = settings.model_copy(update={"folder": recorded_settings.folder})
    check_same(recorded_settings, settings, record.name)
    return settings


def _search(run: str, storage: SqlStorage) -> SearchTasks:
    def limits(stored: Mapping[str, object], own: Limits) -> Limits:
        return Settings.restored(stored)[0].limits.override(own)

    return search_tasks(run, storage, limits, COMPLETION_STOPS, chat_request)


def _built_in() -> str:
    from funsearch.samplers.embedded import embedded_model

    return str(embedded_model())


def _folder(storage: SqlStorage) -> str:
    return str((storage.folder / "policies").resolve())
