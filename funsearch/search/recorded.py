"""`funsearch.Run`: reads a recorded run, with its best programs, any program, and all evaluations as a data frame.

It writes nothing but scores on held-out inputs. A run may be read while it is running.
"""

import html
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, overload

from funsearch.core.lineage import line_of_descent
from funsearch.core.ports import RunStorage
from funsearch.core.records import Evaluation, joined_notes
from funsearch.core.specification import Specification
from funsearch.errors import ConfigError, FunsearchError, ProblemError
from funsearch.search.plotting import plot
from funsearch.search.report import Scorer, Verification
from funsearch.search.search import DEFAULT_STORAGE
from funsearch.storage import open_storage

if TYPE_CHECKING:
    import pandas
    import polars
    from matplotlib.figure import Figure

FIRST, MODEL = "first", "model"
"""Operators: what proposed a program. The first program comes from the problem, every other from a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramView:
    """One program of a run; a notebook shows it with its code."""

    id: int
    status: str
    score: float | None
    scores: Mapping[str, float]
    heldout: Mapping[str, float] | None
    """None when it has not been scored on held-out inputs."""
    code: str
    """Empty when no function could be read from the model's answer."""
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
    """A recorded run."""

    def __init__(self, name: str, storage: str | RunStorage = DEFAULT_STORAGE) -> None:
        """Opens the run.

        Args:
            name: of the run.
            storage: the URL of its database, or an open storage, which stays the caller's.

        Raises:
            ConfigError: an argument cannot be used.
            StorageError: there is no such database or run.
        """
        if not isinstance(name, str):
            raise ConfigError(f"name = {name!r:.80}: give the name of a recorded run, a string.")
        if not isinstance(storage, str) and not hasattr(storage, "evaluations"):
            raise ConfigError(f"storage = {storage!r:.80}: give the URL of a database, as sqlite:///runs.db.")
        self._owned = isinstance(storage, str)
        self._storage = open_storage(storage, create=False) if isinstance(storage, str) else storage
        self.record = self._storage.run(name)
        self.name = name
        self._specification = Specification.parse(self.record.specification, self.record.problem)

    @overload
    def best(self, top: None = None, *, heldout: bool = False) -> ProgramView: ...
    @overload
    def best(self, top: int, *, heldout: bool = False) -> list[ProgramView]: ...
    def best(self, top: int | None = None, *, heldout: bool = False) -> ProgramView | list[ProgramView]:
        """Returns the best program, or with `top` a list of distinct programs, best first.

        Args:
            top: number of programs to return at most.
            heldout: whether to score them on the problem's held-out inputs, if those scores are not recorded yet.

        Raises:
            ConfigError: `top` is not a positive number.
            ProblemError: no program has been scored yet, or the problem has no held-out inputs.
            SandboxError: candidates cannot be confined as they were in the run.
        """
        if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
            raise ConfigError(f"top = {top!r:.80}: give a number of at least 1, or leave it out.")
        evaluations = dict(self._storage.best(self.name, top or 1))
        if not evaluations and top is None:
            raise ProblemError(f"No program of the run {self.name} has been scored yet: let it run first.")
        if heldout and evaluations:
            with closing(Scorer(self.record)) as scorer:
                scorer.entries(evaluations, self._storage, heldout=True)
        results = self._storage.heldout(self.name, list(evaluations))
        views = [self._view(id, e, results[id].scores if id in results else None) for id, e in evaluations.items()]
        return views[0] if top is None else views

    def program(self, id: int) -> ProgramView:
        """Returns a program by its number.

        Raises:
            StorageError: there is no such program.
        """
        results = self._storage.heldout(self.name, [id])
        return self._view(id, self._storage.program(self.name, id), results[id].scores if id in results else None)

    def lineage(self, id: int) -> list[ProgramView]:
        """Returns the ancestors of a program, the first program first. See `funsearch.core.lineage`."""
        steps = line_of_descent(self._specification, id, lambda id: self._storage.program(self.name, id))
        return [self._view(step.program, step.evaluation, None) for step in steps]

    def verify(self, count: int = 10) -> list[Verification]:
        """Scores the best programs again, each in a fresh sandbox, and compares the scores with the recorded ones.

        Raises:
            SandboxError: candidates cannot be confined as they were in the run.
        """
        with closing(Scorer(self.record)) as scorer:
            return [scorer.verify(id, evaluation) for id, evaluation in self._storage.best(self.name, count)]

    def plot(self) -> "Figure":
        """Returns a picture of the run: the score of every program over the samples, resets, and evaluation statuses.

        Raises:
            FunsearchError: matplotlib is not installed, or nothing has been evaluated yet.
        """
        points = list(self._storage.points(self.name))
        if not points:
            raise FunsearchError(f"The run {self.name} has nothing to draw yet: no program has been evaluated.")
        return plot(self.name, points, self._storage.resets(self.name))

    @overload
    def to_dataframe(self, library: Literal["pandas"] = "pandas") -> "pandas.DataFrame": ...
    @overload
    def to_dataframe(self, library: Literal["polars"]) -> "polars.DataFrame": ...
    def to_dataframe(self, library: Literal["pandas", "polars"] = "pandas") -> "pandas.DataFrame | polars.DataFrame":
        """Returns a data frame with one row per evaluation, in the order in which they were registered.

        Columns: program, prompt, sample, island, parents, operator, model, status, score, `score.INPUT` for each input,
        duplicate, duplicate_of, prompt_tokens, tokens, seconds, error, code.

        Raises:
            ConfigError: the library is not one of the two.
            FunsearchError: the library is not installed.
        """
        if library not in ("pandas", "polars"):
            raise ConfigError(f"library = {library!r:.80}: choose pandas or polars.")
        columns = self._columns()
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
        if self._owned:
            self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _columns(self) -> dict[str, list[object]]:
        evaluations = list(self._storage.evaluations(self.name))
        inputs = dict.fromkeys(name for evaluation in evaluations for name in evaluation.scores)
        columns: dict[str, list[object]] = defaultdict(list)
        for program, evaluation in enumerate(evaluations):
            for name, value in self._row(program, evaluation).items():
                columns[name].append(value)
            for name in inputs:
                columns[f"score.{name}"].append(evaluation.scores.get(name))
        return columns

    def _row(self, program: int, evaluation: Evaluation) -> dict[str, object]:
        sample = evaluation.sample
        return {
            "program": program,
            "prompt": sample.prompt.index,
            "sample": sample.index,
            "island": sample.prompt.island,
            "parents": list(sample.prompt.parents),
            "operator": FIRST if sample.prompt.index < 0 else MODEL,
            "model": sample.model,
            "status": str(evaluation.status),
            "score": evaluation.score,
            "duplicate": evaluation.duplicate_of is not None,
            "duplicate_of": evaluation.duplicate_of,
            "prompt_tokens": sample.prompt_tokens,
            "tokens": sample.tokens,
            "seconds": evaluation.seconds,
            "error": evaluation.error,
            "code": self._code(evaluation),
        }

    def _code(self, evaluation: Evaluation) -> str:
        return self._specification.function_source(evaluation.function) if evaluation.function else ""

    def _repr_html_(self) -> str:
        counts = self._storage.counts(self.name)
        best = "-" if counts.best_score is None else f"{counts.best_score:.6g}"
        facts = f"{self.record.problem}, {counts.samples:,} samples, {counts.valid:,} valid, best {best}"
        return f"<b>{html.escape(self.name)}</b>: {html.escape(facts)}"

    def _view(self, id: int, evaluation: Evaluation, heldout: Mapping[str, float] | None) -> ProgramView:
        return ProgramView(
            id=id,
            status=evaluation.status.value,
            score=evaluation.score,
            scores=evaluation.scores,
            heldout=heldout,
            code=self._code(evaluation),
            parents=evaluation.sample.prompt.parents,
            model=evaluation.sample.model,
            notes=joined_notes(evaluation.feedback),
            error=evaluation.error,
            sandbox=evaluation.sandbox,
        )
