"""The folder through which a training process gets its job and returns the result. Loads no library.

NAME.work/job.json          the job
NAME.work/examples.jsonl    the examples to train on
NAME.work/checkpoints/      in the format of the library
NAME.work/policy/           the result; renamed to NAME when it is complete
NAME.work/train.log         output of the libraries
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

from funsearch.rest_em.ports import Example, ImproveJob
from funsearch.trainers.options import TrainerOptions

FIGURES = "funsearch.json"
"""File that is written into a policy's folder last, with the figures of its training."""


class Report(TypedDict, total=False):
    """One line of the process's standard output: progress, a warning, or the error that ended it."""

    step: int
    steps: int
    loss: float
    warning: str
    error: str


@dataclass(frozen=True, slots=True)
class Workplace:
    """The files of one job."""

    folder: Path

    @classmethod
    def beside(cls, policy: Path) -> "Workplace":
        """Returns the workplace of the policy whose folder this will be."""
        return cls(policy.with_name(f"{policy.name}.work"))

    @property
    def job(self) -> Path:
        return self.folder / "job.json"

    @property
    def examples(self) -> Path:
        return self.folder / "examples.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def policy(self) -> Path:
        return self.folder / "policy"

    @property
    def log(self) -> Path:
        return self.folder / "train.log"

    def write(self, job: ImproveJob, examples: Iterable[Example]) -> None:
        """Writes the job and its examples, over those of an earlier attempt."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.job.write_text(json.dumps(asdict(job)), encoding="utf-8")
        with self.examples.open("w", encoding="utf-8") as file:
            for example in examples:
                file.write(json.dumps(asdict(example)) + "\n")

    def differs(self, job: ImproveJob) -> bool:
        """Returns whether an earlier attempt had another job."""
        try:
            return bool(json.loads(self.job.read_text(encoding="utf-8")) != json.loads(json.dumps(asdict(job))))
        except (OSError, ValueError):
            return False

    def read(self) -> tuple[ImproveJob, TrainerOptions, list[Example]]:
        """Returns the job, its options and its examples."""
        job = ImproveJob(**json.loads(self.job.read_text(encoding="utf-8")))
        assert isinstance(job.options, dict)
        options = TrainerOptions(**job.options)
        return replace(job, options=options), options, list(self._examples())

    def _examples(self) -> Iterator[Example]:
        with self.examples.open(encoding="utf-8") as file:
            for line in file:
                yield Example(**json.loads(line))
