"""Mathematics: JSON Lines or a dataset with the fields of MATH; answers are compared by math-verify."""

import importlib.util
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        _require_math_verify()
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
    """Compares the last answer that can be parsed from a text with the correct one, as mathematics."""

    def grade(self, task: Task, text: str) -> Grade:
        from math_verify import parse, verify

        # The library's own time limit uses a signal, which only the main thread may set.
        seconds = PARSING_SECONDS if threading.current_thread() is threading.main_thread() else None
        keys = (" ".join(text.split()),)
        # The answer goes to a parser and an algebra system that may raise anything.
        try:
            gold = parse(f"\\boxed{{{task.reference['answer']}}}", parsing_timeout=seconds)
            answer = parse(text, parsing_timeout=seconds)
            correct = bool(answer) and verify(gold, answer, timeout_seconds=seconds)
        except Exception as error:
            return Grade(0.0, "", keys, f"{type(error).__name__}: {error}")
        return Grade(float(correct), str(answer[0]) if answer else "", keys)

    def close(self) -> None:
        """Does nothing."""


def _open(_sandbox: Callable[[], Sandbox]) -> Verifier:
    _require_math_verify()
    return MathVerifier()


def boxed(text: str) -> str | None:
    """Returns the content of the last \\boxed{} of a text, None if there is none or it is not closed."""
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
    return Draft(
        key=key,
        family=family,
        question=problem,
        solution=solution or f"\\boxed{{{answer}}}",
        reference={"answer": answer},
        split=line.split(),
    )


def _text(examples: Sequence[Draft], draft: Draft) -> str:
    return f"{_worked(examples)}Problem:\n{draft.question}\n\nSolution:\n"


def _request(examples: Sequence[Draft], draft: Draft) -> str:
    return f"{_worked(examples)}Solve this problem and put the final answer in \\boxed{{}}.\n\n{draft.question}"


def _worked(examples: Sequence[Draft]) -> str:
    return "".join(f"Problem:\n{draft.question}\n\nSolution:\n{draft.solution}\n\n" for draft in examples)


def _dataset(name: str) -> Iterator[Line]:
    """Yields the rows of a dataset on a hub; its own splits are kept if they include a training and a held-out one.

    Raises:
        TrainingError: the dataset cannot be loaded.
    """
    if importlib.util.find_spec("datasets") is None:
        raise TrainingError(f"There is no file {name}, and loading a dataset from a hub needs the trainer: {INSTALL}.")
    from datasets import load_dataset

    # The library passes on any error of the network, the hub or the parser.
    try:
        splits = load_dataset(name)
    except Exception as error:
        raise TrainingError(
            f"There is no file {name}, and the dataset of that name cannot be loaded: {first_line(error)}"
        ) from None
    has_both = {Split.TRAIN, Split.HELDOUT} <= {SPLITS.get(split) for split in splits}
    for split, rows in splits.items():
        if has_both and split not in SPLITS:  # neither trained nor measured on
            continue
        for number, row in enumerate(rows, 1):
            data = {"key": f"{split}/{number}", **row, "split": split if has_both else None}
            yield Line(Path(f"{name}/{split}"), number, data)


def _require_math_verify() -> None:
    if importlib.util.find_spec("math_verify") is None:
        raise TrainingError(f"The task set math compares answers with math-verify, which is not installed: {INSTALL}.")
