"""Questions with one exact answer: JSON Lines with `prompt` and `answer`, compared letter by letter."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from funsearch.core.ports import Sandbox
from funsearch.errors import TrainingError
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Grade, Graded, Task
from funsearch.tasks.drafts import Draft, make_tasks, read_lines


@dataclass(frozen=True, slots=True)
class ExactTasks:
    """The tasks of a file. The prompt is shown as it is, and only the first line of an answer counts."""

    path: Path
    name: str = "exact"
    stop: tuple[str, ...] = ("\n",)
    max_tokens: int = 64
    across_tasks: bool = False

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        drafts = [
            Draft(
                key=line.key(),
                family=str(line.data.get("family", self.path.stem)),
                question=line.text("prompt"),
                solution=line.text("answer"),
                reference={"answer": line.text("answer")},
                split=line.split(),
            )
            for line in read_lines(self.path)
        ]
        return make_tasks(str(self.path), drafts, options, seed, wording=lambda _examples, draft: draft.question)

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        return _open

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        return iter(())


class ExactVerifier:
    """Compares an answer with the one correct answer."""

    def grade(self, task: Task, text: str) -> Grade:
        answer = text.strip().partition("\n")[0].strip()
        return Grade(float(answer == str(task.reference["answer"]).strip()), answer, (answer,))

    def close(self) -> None:
        """Does nothing."""


def _open(_sandbox: Callable[[], Sandbox]) -> Verifier:
    return ExactVerifier()


def exact(argument: str, options: TaskOptions) -> ExactTasks:
    """Returns the task set `exact:FILE`."""
    if not argument:
        raise TrainingError("The task set exact needs a file, as in exact:sums.jsonl.")
    return ExactTasks(Path(argument))
