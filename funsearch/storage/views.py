"""Reads the parts of runs that the web page shows: small records of a few columns, quick for a run of any size.

Knows nothing about how they are shown. Every query reads a limited number of rows, and no text that is not shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Select, and_, func, select

from funsearch.core.records import ALL_ISLANDS, HeldOut
from funsearch.errors import StorageError
from funsearch.storage.columns import ExactText
from funsearch.storage.records import record
from funsearch.storage.rows import Condition, of_sample, read_heldout
from funsearch.storage.sql import SqlStorage
from funsearch.storage.tables import evaluations, models, prompts, runs, samples, scored, snapshots

EXCERPT = 2000
"""Maximum number of characters of a program in a list."""
WINDOW = 5_000
"""Number of evaluations that are searched for those of one status."""
MAPPED = 2_000
"""Number of programs of a run, best first, from which its clusters are computed."""

_of_prompt = and_(prompts.c.run == evaluations.c.run, prompts.c.prompt == evaluations.c.prompt)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run in a list."""

    id: int
    name: str
    problem: str
    state: str
    stopped: str
    created: float
    sandbox: str
    samples: int | None
    best_score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """One of the best programs."""

    program: int
    score: float
    scores: Mapping[str, float]
    island: int
    excerpt: str
    heldout: HeldOut | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A program in a list, with any status."""

    program: int
    status: str
    score: float | None
    duplicate_of: int | None
    seconds: float
    island: int
    resets: int
    parents: tuple[int, ...]
    model: str


@dataclass(frozen=True, slots=True)
class ClusterView:
    """Programs of one island with the same scores."""

    island: int
    score: float
    programs: int
    shortest: int
    """Id of the shortest program, the oldest on ties."""


class Views:
    """Reads what the page shows. May be used by many threads at once."""

    def __init__(self, storage: SqlStorage) -> None:
        self._connections = storage.connections

    def runs(self) -> list[RunLine]:
        """Returns all runs, newest first."""
        return self._run_lines()

    def run(self, id: int) -> RunLine:
        """Returns one run.

        Raises:
            StorageError: there is no such run.
        """
        for line in self._run_lines(runs.c.id == id):
            return line
        raise StorageError(f"there is no run number {id}: choose one from the list of runs.")

    def leaders(self, run: int, top: int) -> list[Leader]:
        """Returns up to `top` programs distinct by key, best first, the oldest first on ties."""
        query = select(
            evaluations.c.program,
            evaluations.c.key,
            evaluations.c.score,
            evaluations.c.scores,
            prompts.c.island,
            func.substr(evaluations.c.body, 1, EXCERPT, type_=ExactText),
        ).join_from(evaluations, prompts, _of_prompt)
        # Programs with equal keys that are not duplicates are rare: they were evaluated at the same time.
        best = _best(run, 2 * top)
        leaders: dict[str, Leader] = {}
        with self._connections.read() as connection:
            ids = connection.scalars(best).all()
            rows = connection.execute(query.where(evaluations.c.run == run, evaluations.c.program.in_(ids)))
            for program, key, *row in sorted(rows, key=lambda row: (-row.score, row.program)):
                leaders.setdefault(key, record(Leader, program, *row))
            shown = list(leaders.values())[:top]
            results = read_heldout(connection, run, [leader.program for leader in shown])
        return [replace(leader, heldout=results.get(leader.program)) for leader in shown]

    def newest(self, run: int) -> int | None:
        """Returns the id of the newest program."""
        query = select(func.max(evaluations.c.program)).where(evaluations.c.run == run)
        with self._connections.read() as connection:
            newest: int | None = connection.scalar(query)
        return newest

    def lines(self, run: int, below: int, count: int, status: str | None = None) -> list[Line]:
        """Returns the `count` newest programs with an id smaller than `below` and, if given, with a `status`.

        Only the newest `WINDOW` of them are searched.
        """
        within = evaluations.c.program.between(below - WINDOW, below - 1)
        of_status = [evaluations.c.status == status] if status else []
        chosen = (
            select(evaluations.c.program)
            .where(evaluations.c.run == run, within, *of_status)
            .order_by(evaluations.c.program.desc())
            .limit(count)
        )
        with self._connections.read() as connection:
            lines = _lines(connection, run, connection.scalars(chosen).all())
        return sorted(lines.values(), key=lambda line: -line.program)

    def named(self, run: int, programs: Iterable[int]) -> dict[int, Line]:
        """Returns the programs with the ids that exist, by id."""
        with self._connections.read() as connection:
            return _lines(connection, run, sorted(set(programs)))

    def clusters(self, run: int, resets: Sequence[int]) -> list[ClusterView]:
        """Returns the clusters that the run's best programs form on their islands, best first.

        Args:
            run: the run's id.
            resets: how often each island has been reset; programs registered before its last reset are not on it.
        """
        query = select(
            evaluations.c.program,
            evaluations.c.score,
            evaluations.c.scores,
            func.length(evaluations.c.body),
            prompts.c.island,
            prompts.c.resets,
        ).join_from(evaluations, prompts, _of_prompt)
        best = _best(run, MAPPED).subquery()
        query = query.where(evaluations.c.run == run, evaluations.c.program.in_(select(best.c.program)))
        members: dict[tuple[int, str], list[tuple[int, int]]] = {}
        score_of = {}
        with self._connections.read() as connection:
            for program, score, scores, length, island, age in connection.execute(query):
                for home in _homes(island, age, resets):
                    cluster = home, str(scores)
                    score_of[cluster] = score
                    members.setdefault(cluster, []).append((length, program))
        clusters = [
            ClusterView(cluster[0], score_of[cluster], len(programs), min(programs)[1])
            for cluster, programs in members.items()
        ]
        return sorted(clusters, key=lambda cluster: (-cluster.score, cluster.island))

    def _run_lines(self, *where: Condition) -> list[RunLine]:
        counted = select(snapshots.c.samples).where(snapshots.c.run == runs.c.id)
        last = counted.order_by(snapshots.c.evaluations.desc()).limit(1).scalar_subquery()
        # For a run without snapshots: all evaluations except that of the first program.
        newest = select(func.max(evaluations.c.program)).where(evaluations.c.run == runs.c.id).scalar_subquery()
        best = select(func.max(evaluations.c.score)).where(evaluations.c.run == runs.c.id, scored).scalar_subquery()
        query = select(
            runs.c.id,
            runs.c.name,
            runs.c.problem,
            runs.c.state,
            runs.c.stopped,
            runs.c.created,
            runs.c.sandbox,
            func.coalesce(last, newest),
            best,
        )
        with self._connections.read() as connection:
            rows = connection.execute(query.where(*where).order_by(runs.c.id.desc())).all()
        return [record(RunLine, *row[:3], self._connections.state(row.id, row.state), *row[4:]) for row in rows]


def _homes(island: int, age: int, resets: Sequence[int]) -> list[int]:
    """Returns the islands that hold a program whose prompt came from an island after it was reset `age` times."""
    if island == ALL_ISLANDS:
        return [number for number, count in enumerate(resets) if count == 0]
    return [island] if island < len(resets) and resets[island] == age else []


def _best(run: int, count: int) -> Select[tuple[int]]:
    """Returns the query for the ids of the best programs."""
    query = select(evaluations.c.program).where(evaluations.c.run == run, scored)
    return query.order_by(evaluations.c.score.desc(), evaluations.c.program).limit(count)


def _lines(connection: Connection, run: int, programs: Sequence[int]) -> dict[int, Line]:
    query = (
        select(
            evaluations.c.program,
            evaluations.c.status,
            evaluations.c.score,
            evaluations.c.duplicate_of,
            evaluations.c.seconds,
            prompts.c.island,
            prompts.c.resets,
            prompts.c.parents,
            models.c.name,
        )
        .select_from(evaluations.join(prompts, _of_prompt).join(samples, of_sample).join(models))
        .where(evaluations.c.run == run, evaluations.c.program.in_(programs))
    )
    return {row[0]: record(Line, *row[:7], tuple(row[7]), row[8]) for row in connection.execute(query)}
