"""Makes tasks from an author's data: reads JSON Lines, splits by family, prepends worked examples.

Knows nothing about what makes an answer correct.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
"""The splits by the names that authors give them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task that has not been assigned to a split and a position yet."""

    key: str
    family: str
    question: str
    solution: str
    """What a worked example shows; empty if the task cannot serve as one."""
    reference: Mapping[str, object]
    split: Split | None = None
    """None: to be drawn at random."""


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a JSON Lines file, with its position."""

    path: Path
    number: int
    data: dict[str, object]

    def text(self, name: str, *others: str) -> str:
        """Returns a text field: the first of the names that the line has.

        Raises:
            TrainingError: the line has none of them, or the field holds something else; names the line.
        """
        for key in (name, *others):
            if key in self.data:
                value = self.data[key]
                if not isinstance(value, str):
                    raise self.error(f"`{key}` is {value!r:.60}, not text")
                return value
        names = " or ".join(f"`{key}`" for key in (name, *others))
        raise self.error(f"there is no field {names} in {', '.join(self.data) or 'the empty object'}")

    def key(self, *names: str) -> str:
        """Returns the name of the task from `key` or another of these fields; the line number if it has none."""
        return next((str(self.data[name]) for name in ("key", *names) if name in self.data), str(self.number))

    def split(self) -> Split | None:
        """Returns the split that the line names, None if it names none.

        Raises:
            TrainingError: the name is not that of a split; names the line.
        """
        name = self.data.get("split")
        if name is None:
            return None
        if not isinstance(name, str) or name not in SPLITS:
            raise self.error(f"`split` is {name!r:.40}: write train, heldout or transfer")
        return SPLITS[name]

    def error(self, what: str) -> TrainingError:
        """Returns an error that names the line."""
        return TrainingError(f"{self.path}:{self.number}: {what}.")


def read_lines(path: Path) -> Iterator[Line]:
    """Yields the objects of a JSON Lines file.

    Raises:
        TrainingError: the file cannot be read, or a line is not a JSON object; names the line.
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
            raise TrainingError(f"{path}:{number}: not JSON ({error}): write one object per line.") from None
        if not isinstance(data, dict):
            raise TrainingError(f"{path}:{number}: {text[:40]!r} is not a JSON object: write one per line.")
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
    """Returns the tasks of the drafts, with their splits and prompts.

    Args:
        name: of the task set, for messages.
        drafts: with distinct keys.
        options: how many tasks of each split to return, and of which families.
        seed: of the random draws.
        shots: how many training tasks to use as worked examples instead.
        wording: makes a prompt from the worked examples and a draft.

    Raises:
        TrainingError: two tasks have the same key, a family does not exist, or a required split is empty.
    """
    duplicates = [key for key, count in Counter(draft.key for draft in drafts).items() if count > 1]
    if duplicates:
        raise TrainingError(f"The task set {name} has two tasks called {duplicates[0]}: give each its own name.")
    splits = _split(name, _distinct(drafts), options, seed)
    examples = [draft for draft in splits[Split.TRAIN] if draft.solution][:shots]
    if len(examples) < shots:
        raise TrainingError(
            f"The task set {name} has {len(examples)} tasks with a solution to show, not {shots}: lower tasks.shots."
        )
    shown = {draft.key for draft in examples}
    splits[Split.TRAIN] = [draft for draft in splits[Split.TRAIN] if draft.key not in shown]
    limits = {Split.TRAIN: options.count, Split.HELDOUT: options.heldout, Split.TRANSFER: options.transfer}
    chosen = [(split, draft) for split in Split for draft in splits[split][: limits[split]]]
    for required, label in ((Split.TRAIN, "tasks to train on"), (Split.HELDOUT, "held-out tasks")):
        if not any(split is required for split, _ in chosen):
            raise TrainingError(
                f"The task set {name} has no {label} (of {len(drafts)} tasks in total): add tasks, with `split` for "
                "both or for neither, or remove families from tasks.families or tasks.transfer_families."
            )
    return [
        Task(
            index=index,
            key=draft.key,
            family=draft.family,
            split=split,
            prompt=wording(examples, draft),
            reference=draft.reference,
        )
        for index, (split, draft) in enumerate(chosen)
    ]


def _distinct(drafts: Sequence[Draft]) -> list[Draft]:
    """Returns the drafts with distinct questions; of duplicates, it prefers one that its author does not train on."""
    by_question: dict[str, Draft] = {}
    for draft in sorted(drafts, key=lambda draft: draft.split in (None, Split.TRAIN)):
        by_question.setdefault(draft.question, draft)
    kept = {draft.key for draft in by_question.values()}
    return [draft for draft in drafts if draft.key in kept]


def _split(name: str, drafts: Sequence[Draft], options: TaskOptions, seed: int) -> dict[Split, list[Draft]]:
    """Returns the drafts of each split, in an order drawn by the seed.

    A draft without a split of its own follows its family. If no draft is held out by its author, a share of every
    family that is trained on is held out, `options.heldout` drafts in total.
    """
    known = {draft.family for draft in drafts}
    for family in (*options.families, *options.transfer_families):
        if family not in known:
            raise TrainingError(
                f"The task set {name} has no family {family}: the families are {', '.join(sorted(known))}."
            )
    splits: dict[Split, list[Draft]] = {split: [] for split in Split}
    free: dict[str, list[Draft]] = {}
    for draft in sorted(drafts, key=lambda draft: _rank(draft.key, seed)):
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
        for family, members in free.items():
            # In equal shares, and never more than half of a family.
            count = min(-(-options.heldout * len(members) // max(total, 1)), len(members) // 2)
            splits[Split.HELDOUT] += members[:count]
            free[family] = members[count:]
    splits[Split.TRAIN] += [draft for members in free.values() for draft in members]
    return {split: sorted(members, key=lambda draft: _rank(draft.key, seed)) for split, members in splits.items()}


def _rank(key: str, seed: int) -> bytes:
    """Returns a pseudo-random sort key, so that adding tasks does not change the order of the others."""
    return hashlib.blake2b(f"{seed}\n{key}".encode("utf-8", "replace"), digest_size=8).digest()
