"""A training in a process of its own, to be killed: logs every model call and every grade it makes.

usage: python training_process.py TASKS FOLDER LOG
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from funsearch.core.completions import Policy
from funsearch.rest_em.ports import Example, Improved, ImproveJob, ImproveProgress
from funsearch.rest_em.records import Answer, Grade, Task, TrainingRecord
from funsearch.settings.training import TrainingSettings
from funsearch.storage import open_storage
from funsearch.tasks.exact import ExactVerifier
from funsearch.tasks.opening import open_task_set
from funsearch.testing import InProcessSandbox, RecordingTrainer, ScriptedPolicies
from funsearch.training.rounds import Rounds
from funsearch.training.workers import AnswerRequest, LocalTrainingWorkers

PAUSE_SECONDS = 0.002
CHANCES = (0.2, 0.45, 0.8)
OPTIONS = ("samples_per_task=8", "batch_samples=16", "rounds=2", "measure.samples=4", "gate.pass_at_1=sampled")


def main(tasks: str, folder: str, log: str) -> None:
    journal = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(line: str) -> None:
        os.write(journal, f"{line}\n".encode())
        time.sleep(PAUSE_SECONDS)

    class LoggingWorkers(LocalTrainingWorkers):
        def generate(self, batches: Iterable[Sequence[AnswerRequest]], policy: Policy) -> Iterator[list[Answer]]:
            for batch in batches:
                for answers in super().generate([batch], policy):
                    for request in batch:
                        write(f"asked {request.round} {request.phase} {request.task.index}")
                    yield answers

    class LoggingTrainer(RecordingTrainer):
        def improve(
            self, job: ImproveJob, examples: Sequence[Example], watch: Callable[[ImproveProgress], None]
        ) -> Improved:
            write(f"trained {job.policy}")
            return super().improve(job, examples, watch)

    class SlowVerifier(ExactVerifier):
        def grade(self, task: Task, text: str) -> Grade:
            time.sleep(PAUSE_SECONDS / 20)
            return super().grade(task, text)

    settings = TrainingSettings.load(None, OPTIONS)
    task_set = open_task_set(tasks, settings.tasks, lambda run: task_set)
    storage = open_storage(f"sqlite:///{folder}/t.db")
    record = TrainingRecord("demo", tasks, "base", {}, 0.0)
    if not storage.trainings():
        storage.create_training(record, task_set.tasks(settings.tasks, chat=False, seed=0))
    answers = {task.prompt: task.reference["answer"] for task in storage.tasks("demo")}
    workers = LoggingWorkers(
        lambda: ScriptedPolicies(answers.__getitem__, CHANCES),
        lambda _sandbox: SlowVerifier(),
        InProcessSandbox,
        LoggingTrainer(),
    )
    rounds = Rounds(record, settings, task_set, storage, workers, chat=False, folder=Path(folder) / "policies")
    print("ready", flush=True)
    rounds.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
