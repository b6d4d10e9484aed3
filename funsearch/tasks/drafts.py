"""From what an author wrote to tasks: reads JSON Lines, splits by family, puts worked examples in front.

Knows nothing about what a right answer is.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funsearch.errors import TrainingError
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.records import Split, Task

SPLITS = {
    "train": Split.TRAIN,
    "held": Split.HELDOUT,
    "heldout": Split.HELDOUT,
    "validation": Split.HELDOUT,
    "test": Split.HELDOUT,
    "transfer": Split.TRANSFER,
}
"""By what authors call them."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A task before it has its place in a set."""

    key: str
    family: str
    question: str
    solution: str
    """What a worked example shows; empty when it cannot be one."""
    reference: Any
    split: Split | None = None
    """None: to be drawn."""


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a JSON Lines file, with where it stands."""

    path: Path
    number: int
    data: dict[str, Any]

    def text(self, name: str, *others: str) -> str:
        """Returns a field that holds text, by the first of the names that is there.

        Raises:
            TrainingError: there is none, or it holds something else; names the line.
        """
        for key in (name, *others):
            if key in self.data:
                if not isinstance(self.data[key], str):
                    raise self.error(f"`{key}` is {self.data[key]!r:.60}, not text")
                return str(self.data[key])
        wanted = " or ".join(f"`{key}`" for key in (name, *others))
        raise self.error(f"there is no field {wanted} in {', '.join(self.data) or 'the empty object'}")

    def key(self, *names: str) -> str:
        """Returns what the line calls its task, in `key` or a field of another name; its number where it does not."""
        return next((str(self.data[name]) for name in ("key", *names) if name in self.data), str(self.number))

    def split(self) -> Split | None:
        """Returns the split that the line asks for, None when it leaves that open.

        Raises:
            TrainingError: it is no split; names the line.
        """
        given = self.data.get("split")
        if given is None:
            return None
        if given not in SPLITS:
            raise self.error(f"`split` is {given!r:.40}: write train, held or transfer")
        return SPLITS[given]

    def error(self, what: str) -> TrainingError:
        """Returns an error that names the line."""
        return TrainingError(f"{self.path}:{self.number}: {what}.")


def read_lines(path: Path) -> Iterator[Line]:
    """Yields the objects of a JSON Lines file.

    Raises:
        TrainingError: the file cannot be read, or a line is no JSON object; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"Cannot read the tasks in {path}: {error}.") from None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            data = json.loads(text)
        except ValueError as error:
            raise TrainingError(f"{path}:{number}: not JSON ({error}): write one object a line.") from None
        if not isinstance(data, dict):
            raise TrainingError(f"{path}:{number}: {text[:40]!r} is no JSON object: write one a line.")
        yield Line(path, number, data)


def make_tasks(
    name: str,
    drafts: Sequence[Draft],
    options: TaskOptions,
    seed: int,
    *,
    shots: int = 0,
    wording: Callable[[Sequence[Draft], Draft], str],
) -> list[Task]:
    """Returns the tasks of the drafts, split and worded.

    Args:
        name: of the task set, for messages.
        drafts: with keys of their own.
        options: how many of each split there shall be, and of which families.
        seed: of what is drawn.
        shots: how many tasks to train on become worked examples instead.
        wording: makes the prompt of a draft from the worked examples and it.

    Raises:
        TrainingError: a key is there twice, a family is not there, or a split that is needed is empty.
    """
    twice = [key for key, count in Counter(draft.key for draft in drafts).items() if count > 1]
    if twice:
        raise TrainingError(f"The task set {name} has two tasks called {twice[0]}: give each a name of its own.")
    splits = _split(name, _distinct(drafts), options, seed)
    able = [draft for draft in splits[Split.TRAIN] if draft.solution][:shots]
    if len(able) < shots:
        raise TrainingError(
            f"The task set {name} has {len(able)} tasks with a solution to show, not {shots}: set tasks.shots lower."
        )
    shown = {draft.key for draft in able}
    splits[Split.TRAIN] = [draft for draft in splits[Split.TRAIN] if draft.key not in shown]
    limits = {Split.TRAIN: options.count, Split.HELDOUT: options.heldout, Split.TRANSFER: options.transfer}
    chosen = [(split, draft) for split in Split for draft in splits[split][: limits[split]]]
    for split, what in ((Split.TRAIN, "tasks to train on"), (Split.HELDOUT, "held-out tasks")):
        if not any(split is one for one, _ in chosen):
            raise TrainingError(
                f"The task set {name} has no {what} ({len(drafts)} tasks in all): give it more, with `split` for both "
                "or for none, or take families off tasks.families or tasks.transfer_families."
            )
    return [
        Task(index, draft.key, draft.family, split, wording(able, draft), draft.reference)
        for index, (split, draft) in enumerate(chosen)
    ]


def _distinct(drafts: Sequence[Draft]) -> list[Draft]:
    """Returns the drafts with different questions; of equal ones, one that its author keeps from the training."""
    found: dict[str, Draft] = {}
    for draft in sorted(drafts, key=lambda draft: draft.split in (None, Split.TRAIN)):
        found.setdefault(draft.question, draft)
    kept = {draft.key for draft in found.values()}
    return [draft for draft in drafts if draft.key in kept]


def _split(name: str, drafts: Sequence[Draft], options: TaskOptions, seed: int) -> dict[Split, list[Draft]]:
    """Returns the drafts of each split, in an order that the seed draws.

    What is not said in the task itself follows the family; of a family that is trained on, as many tasks are held
    out as `options.heldout` has for it.
    """
    known = {draft.family for draft in drafts}
    for family in (*options.families, *options.transfer_families):
        if family not in known:
            raise TrainingError(f"The task set {name} has no family {family}: it has {', '.join(sorted(known))}.")
    splits: dict[Split, list[Draft]] = {split: [] for split in Split}
    free: dict[str, list[Draft]] = {}
    for draft in sorted(drafts, key=lambda draft: _luck(draft.key, seed)):
        if draft.split is Split.TRANSFER or draft.family in options.transfer_families:
            splits[Split.TRANSFER].append(draft)
        elif options.families and draft.family not in options.families:
            continue
        elif draft.split is not None:
            splits[draft.split].append(draft)
        else:
            free.setdefault(draft.family, []).append(draft)
    if not splits[Split.HELDOUT]:
        total = sum(map(len, free.values()))
        for family, several in free.items():
            # In equal shares, and never more than half of a family.
            held = min(-(-options.heldout * len(several) // max(total, 1)), len(several) // 2)
            splits[Split.HELDOUT] += several[:held]
            free[family] = several[held:]
    splits[Split.TRAIN] += [draft for several in free.values() for draft in several]
    return {split: sorted(several, key=lambda draft: _luck(draft.key, seed)) for split, several in splits.items()}


def _luck(key: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\n{key}".encode("utf-8", "replace"), digest_size=8).digest()
