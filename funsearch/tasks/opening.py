"""Finds a task set by what the user wrote: a name with an argument, or a JSON Lines file. Knows entry points."""

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
"""The task set that is made of a search, for which a storage is needed."""
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
    """The distribution that brings it."""


def list_task_sets() -> list[TaskSetInfo]:
    """Returns the task sets that are shipped and installed, the shipped ones first."""
    found = [TaskSetInfo(SEARCH, "run:RUN: beat the programs that the prompts of a search show.", "funsearch")]
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        found.append(TaskSetInfo(point.name, _title(point), _origin(point)))
    return sorted(found, key=lambda info: (info.origin != "funsearch", info.name))


def open_task_set(spec: str, options: TaskOptions, search: Callable[[str], TaskSet]) -> TaskSet:
    """Returns the task set of `NAME`, `NAME:ARGUMENT`, `FILE.jsonl` or `run:RUN`.

    Args:
        spec: what the user wrote.
        options: of the training.
        search: makes a task set of a search.

    Raises:
        TrainingError: there is none; names the nearest.
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
    # What a package of somebody's raises is theirs to choose.
    try:
        made: TaskSet = point.load()(argument, options)
    except FunsearchError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The task set {name} of {_origin(point)} ({point.value}) cannot be used: {type(error).__name__}: {error}"
        ) from error
    if missing := [member for member in _MEMBERS if not hasattr(made, member)]:
        raise TrainingError(f"The task set {name} of {_origin(point)} has no {', '.join(missing)}: see TaskSet.")
    return made


def _origin(point: importlib.metadata.EntryPoint) -> str:
    """Returns the distribution that brings it."""
    return point.dist.name if point.dist else point.module


def _by_fields(path: Path) -> str:
    """Returns which task set reads a file, by the fields of its first line."""
    for line in read_lines(path):
        for name, fields in _BY_FIELDS:
            if fields <= line.data.keys():
                return name
        raise line.error(
            "none of the task sets has these fields: math has `problem` and `solution`, code has `question` and "
            "`input_output` or `prompt`, `test` and `entry_point`, exact has `prompt` and `answer`"
        )
    raise TrainingError(f"{path} has no tasks: it is empty.")


def _title(point: importlib.metadata.EntryPoint) -> str:
    # A package that is broken must not hide the other task sets.
    try:
        module = importlib.import_module(point.module)
    except Exception as error:
        return f"(cannot be imported: {error})"
    return (module.__doc__ or "").strip().partition("\n")[0]
