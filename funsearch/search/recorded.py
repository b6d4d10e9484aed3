"""A recorded run in a notebook: its best programs, any program, and all evaluations as a table.

Reads through the storage and changes nothing; a run may be read while it goes on.
"""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from funsearch.core.lineage import line_of_descent
from funsearch.core.records import Evaluation, joined_notes
from funsearch.core.specification import Specification
from funsearch.errors import FunsearchError
from funsearch.storage import open_storage


@dataclass(frozen=True, slots=True)
class ProgramView:
    """One program of a run; a notebook shows it with its code."""

    id: int
    status: str
    score: float | None
    scores: Mapping[str, float]
    heldout: Mapping[str, float] | None
    """None when it has not been scored on held-out inputs; `funsearch best` does that."""
    code: str
    """Empty when no function could be read from the answer."""
    parents: tuple[int, ...]
    model: str
    notes: str
    error: str
    sandbox: str

    def _repr_html_(self) -> str:
        outcome = f"{self.score:.6g}" if self.score is not None else f"{self.status} {self.error}"
        tables = [("scores", self.scores), ("held out", self.heldout or {})]
        scores = "; ".join(
            f"{title}: {', '.join(f'{name} {value:.6g}' for name, value in values.items())}"
            for title, values in tables
            if values
        )
        lines = [f"program {self.id}: {outcome}", scores, self.notes, f"by {self.model}, sandbox {self.sandbox}"]
        head = "<br>".join(html.escape(line) for line in lines if line)
        return f"<div>{head}</div><pre>{html.escape(self.code)}</pre>"


class Run:
    """A run of a database, to be looked at."""

    def __init__(self, name: str, db: str = "sqlite:///funsearch.db") -> None:
        """Opens it.

        Raises:
            StorageError: there is no such database or run.
        """
        self._storage = open_storage(db, create=False)
        self.record = self._storage.run(name)
        self.name = name
        self._specification = Specification.parse(self.record.specification, self.record.problem)

    def best(self, top: int = 1) -> list[ProgramView]:
        """Returns the best distinct programs, best first."""
        found = dict(self._storage.best(self.name, top))
        heldout = self._storage.heldout(self.name, list(found))
        return [self._view(id, e, heldout[id].scores if id in heldout else None) for id, e in found.items()]

    def program(self, id: int) -> ProgramView:
        """Returns a program by its number.

        Raises:
            StorageError: there is none.
        """
        heldout = self._storage.heldout(self.name, [id])
        return self._view(id, self._storage.program(self.name, id), heldout[id].scores if id in heldout else None)

    def lineage(self, id: int) -> list[ProgramView]:
        """Returns the line of descent of a program, the first program first. See `funsearch.core.lineage`."""
        steps = line_of_descent(self._specification, id, lambda id: self._storage.program(self.name, id))
        return [self._view(step.program, step.evaluation, None) for step in steps]

    def to_dataframe(self, library: Literal["pandas", "polars"] = "pandas") -> Any:
        """Returns all evaluations as a data frame, a row each, without their texts.

        Raises:
            FunsearchError: the library is not installed.
        """
        points = list(self._storage.points(self.name))
        columns = {
            "program": [point.program for point in points],
            "island": [point.island for point in points],
            "status": [str(point.status) for point in points],
            "score": [point.score for point in points],
            "duplicate": [point.duplicate for point in points],
        }
        try:
            if library == "polars":
                import polars

                return polars.DataFrame(columns)
            import pandas

            return pandas.DataFrame(columns)
        except ImportError:
            raise FunsearchError(f"A data frame needs {library}: pip install {library}.") from None

    def close(self) -> None:
        """Releases the database."""
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        counts = self._storage.counts(self.name)
        best = "-" if counts.best_score is None else f"{counts.best_score:.6g}"
        facts = f"{self.record.problem}, {counts.samples:,} samples, {counts.valid:,} valid, best {best}"
        return f"<b>{html.escape(self.name)}</b>: {html.escape(facts)}"

    def _view(self, id: int, evaluation: Evaluation, heldout: Mapping[str, float] | None) -> ProgramView:
        function = evaluation.function
        return ProgramView(
            id,
            evaluation.status.value,
            evaluation.score,
            evaluation.scores,
            heldout,
            self._specification.function_source(function) if function else "",
            evaluation.sample.prompt.parents,
            evaluation.sample.model,
            joined_notes(evaluation.feedback),
            evaluation.error,
            evaluation.sandbox,
        )
