"""Mathematics: JSON Lines or a dataset with the fields of MATH, answers compared by math-verify."""

import importlib.util
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from funsearch.core.ports import Sandbox
from funsearch.errors import TrainingError, first_line
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Grade, Graded, Split, Task
from funsearch.tasks.drafts import SPLITS, Draft, Line, make_tasks, read_lines

PARSING_SECONDS = 5
INSTALL = 'pip install "funsearch[train]"'


@dataclass(frozen=True, slots=True)
class MathTasks:
    """Problems with `problem` and `solution` (the answer in its last \\boxed{}) or `answer`; `type` is the family."""

    source: str
    """A JSON Lines file, or the name of a dataset on a hub."""
    name: str = "math"
    stop: tuple[str, ...] = ("\nProblem:",)
    max_tokens: int = 512
    across_tasks: bool = False

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        _need()
        drafts = [_draft(line) for line in self._lines()]
        return make_tasks(
            self.source,
            drafts,
            options,
            seed,
            shots=options.shots_for(chat),
            wording=_request if chat else _text,
        )

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        return _open

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        return iter(())

    def _lines(self) -> Iterable[Line]:
        path = Path(self.source)
        if path.exists() or path.suffix:
            return read_lines(path)
        return _dataset(self.source)


class MathVerifier:
    """Compares the last answer that can be read from a text with the right one, as mathematics."""

    def grade(self, task: Task, text: str) -> Grade:
        from math_verify import parse, verify

        # Its own limit works by a signal, which only the main thread may set.
        seconds: Any = PARSING_SECONDS if threading.current_thread() is threading.main_thread() else None
        keys = (" ".join(text.split()),)
        # What a model writes meets a parser and an algebra system that may raise anything.
        try:
            gold = parse(f"\\boxed{{{task.reference['answer']}}}", parsing_timeout=seconds)
            said = parse(text, parsing_timeout=seconds)
            right = bool(said) and verify(gold, said, timeout_seconds=seconds)
        except Exception as error:
            return Grade(0.0, "", keys, f"{type(error).__name__}: {error}")
        return Grade(float(right), str(said[0]) if said else "", keys)

    def close(self) -> None:
        """Does nothing."""


def _open(_sandbox: Callable[[], Sandbox]) -> Verifier:
    _need()
    return MathVerifier()


def boxed(text: str) -> str | None:
    """Returns what stands in the last \\boxed{} of a text, None if there is none or it does not end."""
    start = text.rfind("\\boxed{")
    depth = 0
    for end in range(start + len("\\boxed"), len(text) if start >= 0 else 0):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start + len("\\boxed{") : end]
    return None


def math(argument: str, options: TaskOptions) -> MathTasks:
    """Returns the task set `math:FILE` or `math:DATASET`."""
    if not argument:
        raise TrainingError("The task set math needs a JSON Lines file or a dataset, as in math:problems.jsonl.")
    return MathTasks(argument)


def _draft(line: Line) -> Draft:
    problem = line.text("problem", "question")
    solution = str(line.data.get("solution") or "")
    answer = str(line.data["answer"]) if "answer" in line.data else boxed(solution)
    if not solution and answer is None:
        line.text("solution", "answer")
    if answer is None:
        raise line.error("`solution` has no \\boxed{} answer, and there is no `answer`")
    family = str(next((line.data[name] for name in ("family", "type", "subject") if line.data.get(name)), "math"))
    key = line.key("unique_id")
    return Draft(key, family, problem, solution or f"\\boxed{{{answer}}}", {"answer": answer}, line.split())


def _text(shown: Sequence[Draft], draft: Draft) -> str:
    worked = "".join(f"Problem:\n{one.question}\n\nSolution:\n{one.solution}\n\n" for one in shown)
    return f"{worked}Problem:\n{draft.question}\n\nSolution:\n"


def _request(shown: Sequence[Draft], draft: Draft) -> str:
    worked = "".join(f"Problem:\n{one.question}\n\nSolution:\n{one.solution}\n\n" for one in shown)
    return f"{worked}Solve this problem and put the final answer in \\boxed{{}}.\n\n{draft.question}"


def _dataset(name: str) -> Iterator[Line]:
    """Yields the rows of a dataset on a hub, with the splits it has if there is one to train on and one to hold out.

    Raises:
        TrainingError: it cannot be loaded.
    """
    if importlib.util.find_spec("datasets") is None:
        raise TrainingError(f"There is no file {name}, and datasets on hubs need the trainer: {INSTALL}.")
    from datasets import load_dataset

    # The library raises whatever network, hub and parser raise.
    try:
        splits = load_dataset(name)
    except Exception as error:
        raise TrainingError(
            f"{name} is no file here, and the dataset of that name cannot be loaded: {first_line(error)}"
        ) from None
    has_both = {Split.TRAIN, Split.HELDOUT} <= {SPLITS.get(split) for split in splits}
    for split, rows in splits.items():
        if has_both and split not in SPLITS:
            continue
        for number, row in enumerate(rows, 1):
            data = {"key": f"{split}/{number}", **row, "split": split if has_both else None}
            yield Line(Path(f"{name}/{split}"), number, data)


def _need() -> None:
    if importlib.util.find_spec("math_verify") is None:
        raise TrainingError(f"The task set math compares answers with math-verify, which is not installed: {INSTALL}.")
