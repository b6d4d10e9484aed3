"""The folder by which a training process is told what to do and tells how it went. Loads no library.

NAME.work/job.json          the job
NAME.work/examples.jsonl    what to train on
NAME.work/checkpoints/      as the library writes them
NAME.work/policy/           the result, until it is whole; then it becomes NAME
NAME.work/train.log         whatever the libraries say
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from funsearch.rest_em.ports import Example

FIGURES = "funsearch.json"
"""Written into a policy's folder last, with what the trainer says of its making."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """The files of one job."""

    folder: Path

    @classmethod
    def beside(cls, policy: Path) -> "Workplace":
        """Returns the workplace of the policy that is to be made in a folder."""
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

    def write(self, job: dict[str, Any], examples: Iterable[Example]) -> None:
        """Writes the job; the examples of an earlier start are the same."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.job.write_text(json.dumps(job), encoding="utf-8")
        with self.examples.open("w", encoding="utf-8") as file:
            for example in examples:
                file.write(json.dumps(asdict(example)) + "\n")

    def differs(self, job: dict[str, Any]) -> bool:
        """Tells whether an earlier start had another job."""
        try:
            return bool(json.loads(self.job.read_text(encoding="utf-8")) != json.loads(json.dumps(job)))
        except (OSError, ValueError):
            return False

    def read(self) -> tuple[dict[str, Any], list[Example]]:
        """Returns the job."""
        return json.loads(self.job.read_text(encoding="utf-8")), list(self._examples())

    def _examples(self) -> Iterator[Example]:
        with self.examples.open(encoding="utf-8") as file:
            for line in file:
                yield Example(**json.loads(line))
