"""Opens the task set that a user named: NAME, NAME:ARGUMENT or a JSON Lines file. Knows entry points."""

import difflib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from funsearch.errors import FunsearchError, TrainingError
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import TaskSet
from funsearch.tasks.drafts import read_lines

ENTRY_POINTS = "funsearch.task_sets"
SEARCH = "run"
"""The task set that is made from a search, which requires a storage."""
_BY_FIELDS = (
    ("math", {"problem"}),
    ("code", {"input_output"}),
    ("code", {"prompt", "entry_point"}),
    ("exact", {"prompt", "answer"}),
)
_MEMBERS = [name for name in vars(TaskSet) if not name.startswith("_")]


@dataclass(frozen=True, slots=True)
class TaskSetInfo:
    """One line of `funsearch tasks`."""

    name: str
    title: str
    origin: str
    """The distribution that provides it."""


def list_task_sets() -> list[TaskSetInfo]:
    """Returns the task sets that are shipped or installed, the shipped ones first."""
    task_sets = [TaskSetInfo(SEARCH, "run:RUN: beat the programs that the prompts of a search show.", "funsearch")]
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        task_sets.append(TaskSetInfo(point.name, _title(point), _origin(point)))
    return sorted(task_sets, key=lambda info: (info.origin != "funsearch", info.name))


def open_task_set(spec: str, options: TaskOptions, search: Callable[[str], TaskSet]) -> TaskSet:
    """Returns the task set of `NAME`, `NAME:ARGUMENT`, `FILE.jsonl` or `run:RUN`.

    Args:
        spec: as the user wrote it.
        options: of the training.
        search: makes the task set of a search from its name.

    Raises:
        TrainingError: there is no such task set (the message names the nearest), or it cannot be used.
    """
    name, _, argument = spec.partition(":")
    if name == SEARCH:
        if not argument:
            raise TrainingError("run: needs the name of a search, as in run:bin_packing-1. See `funsearch list`.")
        return search(argument)
    points = {point.name: point for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    if name not in points and Path(spec).suffix in (".jsonl", ".json"):
        name, argument = _by_fields(Path(spec)), spec
    if name not in points:
        near = difflib.get_close_matches(name, [*points, SEARCH], n=1)
        hint = f"did you mean {near[0]}?" if near else "see `funsearch tasks`, or give a JSON Lines file."
        raise TrainingError(f"There is no task set {spec}: {hint}")
    point = points[name]
    # The factory is code of another package, which may raise anything.
    try:
        task_set: TaskSet = point.load()(argument, options)
    except FunsearchError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The task set {name} of {_origin(point)} ({point.value}) cannot be used: {type(error).__name__}: {error}"
        ) from error
    if missing := [member for member in _MEMBERS if not hasattr(task_set, member)]:
        raise TrainingError(f"The task set {name} of {_origin(point)} has no {', '.join(missing)}: see TaskSet.")
    return task_set


def _origin(point: importlib.metadata.EntryPoint) -> str:
    """Returns the distribution that declares an entry point."""
    return point.dist.name if point.dist else point.module


def _by_fields(path: Path) -> str:
    """Returns the name of the task set that reads a file, from the fields of its first line."""
    for line in read_lines(path):
        for name, fields in _BY_FIELDS:
            if fields <= line.data.keys():
                return name
        raise line.error(
            "no task set has these fields: math has `problem` and `solution`, code has `question` and `input_output` "
            "or `prompt`, `test` and `entry_point`, exact has `prompt` and `answer`"
        )
    raise TrainingError(f"{path} has no tasks: it is empty.")


def _title(point: importlib.metadata.EntryPoint) -> str:
    # A broken package must not hide the other task sets.
    try:
        module = importlib.import_module(point.module)
    except Exception as error:
        return f"(cannot be imported: {error})"
    return (module.__doc__ or "").strip().partition("\n")[0]
