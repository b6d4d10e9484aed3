"""Reads single programs of a run and restores their source. Knows nothing about how they are shown."""

from dataclasses import dataclass
from functools import lru_cache

from funsearch.core.records import Evaluation, RunRecord
from funsearch.core.specification import Specification
from funsearch.storage import SqlStorage
from funsearch.storage.views import RunLine, Views

CACHED_SPECIFICATIONS = 64


@dataclass(frozen=True, slots=True)
class StoredProgram:
    """A program with its run."""

    run: RunLine
    record: RunRecord
    evaluation: Evaluation


class Programs:
    """Reads programs by the numbers of their runs. May be used by many threads at once."""

    def __init__(self, storage: SqlStorage) -> None:
        self.storage = storage
        self.views = Views(storage)
        self._parse = lru_cache(CACHED_SPECIFICATIONS)(Specification.parse)

    def find(self, run: int, id: int) -> StoredProgram:
        """Returns a program.

        Raises:
            StorageError: there is no such run or no such program in it.
        """
        line = self.views.run(run)
        return StoredProgram(line, self.storage.run(line.name), self.storage.program(line.name, id))

    def specification(self, record: RunRecord) -> Specification:
        """Returns the parsed problem file of a run."""
        return self._parse(record.specification, record.problem)

    def source(self, record: RunRecord, evaluation: Evaluation) -> str:
        """Returns the source of the evolved function; empty if the completion contained none."""
        if evaluation.function is None:
            return ""
        return self.specification(record).function_source(evaluation.function)
