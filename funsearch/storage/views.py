"""What the page shows of runs: small records from a few columns each, quick whatever the size of a run.

Knows nothing about how they are shown. Nothing here reads more rows than it is told to, nor texts that nobody sees.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Select, and_, func, select

from funsearch.core.records import ALL_ISLANDS, HeldOut
from funsearch.errors import StorageError
from funsearch.storage.columns import ExactText
from funsearch.storage.faults import storage_errors
from funsearch.storage.rows import Condition, of_sample, read_heldout
from funsearch.storage.sql import SqlStorage
from funsearch.storage.tables import evaluations, models, prompts, runs, samples, scored, snapshots

EXCERPT = 2000
"""Characters of a program that a list shows at most."""
WINDOW = 5_000
"""Evaluations that are looked through for those of one status."""
MAPPED = 2_000
"""Programs of a run, the best ones, from which its clusters are read."""

_of_prompt = and_(prompts.c.run == evaluations.c.run, prompts.c.prompt == evaluations.c.prompt)


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in a list."""

    id: int
    name: str
    problem: str
    state: str
    created: float
    sandbox: str
    samples: int | None
    best_score: float | None


@dataclass(frozen=True, slots=True)
class Leader:
    """One of the best programs."""

    program: int
    score: float
    scores: Mapping[str, float]
    island: int
    excerpt: str
    heldout: HeldOut | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A program in a list, whatever its status."""

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
    """Id of the shortest program, of equals the oldest."""


class Views:
    """Reads what the page shows. May be used by many threads at once."""

    def __init__(self, storage: SqlStorage) -> None:
        self._storage = storage

    def runs(self) -> list[RunLine]:
        """Returns all runs, the newest first."""
        return self._run_lines()

    def run(self, id: int) -> RunLine:
        """Returns one run.

        Raises:
            StorageError: there is no such run.
        """
        for line in self._run_lines(runs.c.id == id):
            return line
        raise StorageError(f"there is no run number {id}: see the list of runs.")

    def leaders(self, run: int, top: int) -> list[Leader]:
        """Returns up to `top` programs distinct by key, best first, of equals the oldest."""
        query = select(
            evaluations.c.program,
            evaluations.c.key,
            evaluations.c.score,
            evaluations.c.scores,
            prompts.c.island,
            func.substr(evaluations.c.body, 1, EXCERPT, type_=ExactText),
        ).join_from(evaluations, prompts, _of_prompt)
        # Equal keys among programs that are no duplicates are rare: both were evaluated at the same time.
        best = _best(run, 2 * top)
        found: dict[str, Leader] = {}
        with self._read() as connection:
            ids = connection.scalars(best).all()
            rows = connection.execute(query.where(evaluations.c.run == run, evaluations.c.program.in_(ids)))
            for program, key, *row in sorted(rows, key=lambda row: (-row.score, row.program)):
                found.setdefault(key, Leader(program, *row))
            leaders = list(found.values())[:top]
            known = read_heldout(connection, run, [leader.program for leader in leaders])
        return [replace(leader, heldout=known.get(leader.program)) for leader in leaders]

    def newest(self, run: int) -> int | None:
        """Returns the id of the newest program."""
        with self._read() as connection:
            found: int | None = connection.scalar(
                select(func.max(evaluations.c.program)).where(evaluations.c.run == run)
            )
            return found

    def lines(self, run: int, below: int, count: int, status: str | None = None) -> list[Line]:
        """Returns the `count` newest programs with an id smaller than `below`; of a `status`, if any is asked for.

        Only the newest `WINDOW` of them are looked through.
        """
        within = evaluations.c.program.between(below - WINDOW, below - 1)
        of_status = [evaluations.c.status == status] if status else []
        chosen = (
            select(evaluations.c.program)
            .where(evaluations.c.run == run, within, *of_status)
            .order_by(evaluations.c.program.desc())
            .limit(count)
        )
        with self._read() as connection:
            found = _lines(connection, run, connection.scalars(chosen).all())
        return sorted(found.values(), key=lambda line: -line.program)

    def named(self, run: int, programs: Iterable[int]) -> dict[int, Line]:
        """Returns those of the programs that there are, by id."""
        with self._read() as connection:
            return _lines(connection, run, sorted(set(programs)))

    def clusters(self, run: int, generations: Sequence[int]) -> list[ClusterView]:
        """Returns the clusters that the run's best programs form on their islands, best first.

        Args:
            run: the run's id.
            generations: how often each island has been reset; programs of before are on no island any more.
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
        groups: dict[tuple[int, str], list[tuple[int, int]]] = {}
        score_of = {}
        with self._read() as connection:
            for program, score, scores, length, island, generation in connection.execute(query):
                everywhere = island == ALL_ISLANDS
                homes = range(len(generations)) if everywhere else [island] if island < len(generations) else []
                for home in homes:
                    if generations[home] == (0 if everywhere else generation):
                        place = home, str(scores)
                        score_of[place] = score
                        groups.setdefault(place, []).append((length, program))
        found = [
            ClusterView(place[0], score_of[place], len(members), min(members)[1]) for place, members in groups.items()
        ]
        return sorted(found, key=lambda cluster: (-cluster.score, cluster.island))

    def _run_lines(self, *where: Condition) -> list[RunLine]:
        stood = select(snapshots.c.samples).where(snapshots.c.run == runs.c.id)
        last = stood.order_by(snapshots.c.evaluations.desc()).limit(1).scalar_subquery()
        # Without snapshots, as in an old run: all evaluations but the first program's.
        newest = select(func.max(evaluations.c.program)).where(evaluations.c.run == runs.c.id).scalar_subquery()
        best = select(func.max(evaluations.c.score)).where(evaluations.c.run == runs.c.id, scored).scalar_subquery()
        query = select(
            runs.c.id,
            runs.c.name,
            runs.c.problem,
            runs.c.state,
            runs.c.created,
            runs.c.sandbox,
            func.coalesce(last, newest),
            best,
        )
        with self._read() as connection:
            rows = connection.execute(query.where(*where).order_by(runs.c.id.desc())).all()
        return [RunLine(*row[:3], self._storage.state(row.id, row.state), *row[4:]) for row in rows]

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with storage_errors(self._storage.label), self._storage.engine.begin() as connection:
            yield connection


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
    return {row[0]: Line(*row[:7], tuple(row[7]), row[8]) for row in connection.execute(query)}
