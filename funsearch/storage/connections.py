"""The connections to one database: transactions, streams of pages, and the leases that this process holds.

Knows nothing about URLs, drivers and tables. Every call has a connection of its own; a long stream has one for each
page, so that a slow reader does not keep the database from tidying up.
"""

import difflib
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, Engine

from funsearch.errors import StorageError
from funsearch.storage.faults import storage_errors
from funsearch.storage.leases import Leases

Record = TypeVar("Record")

PAGE = 1000
"""Rows that a stream reads at once."""
UNFINISHED = ("starting", "running", "waiting")
"""States in which some process holds the lease."""


@dataclass(slots=True)
class _HeldLease:
    """A lease that this process holds, and the database session it lives in, if any."""

    name: str
    session: Connection | None = None
    stack: ExitStack = field(default_factory=ExitStack)


class Connections:
    """Opens transactions in one database and holds leases in it."""

    def __init__(self, engine: Engine, leases: Leases, label: str) -> None:
        self.engine = engine
        self.label = label
        """What messages call the database: its path, or its URL without the password."""
        self._leases = leases
        self._held: dict[int, _HeldLease] = {}

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Opens a transaction for reading."""
        with storage_errors(self.label), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, lease: int | None = None) -> Iterator[Connection]:
        """Opens a transaction for writing; if this process holds `lease`, the transaction fails once it is lost."""
        with storage_errors(self.label):
            session = None if lease is None else self._session(lease)
            if session is None:
                with self.engine.execution_options(writes=True).begin() as connection:
                    yield connection
            else:
                with session.begin():
                    yield session

    @contextmanager
    def lease(self, number: int, name: str) -> Iterator[None]:
        """Holds the lease of the run or training called `name`. See `funsearch.storage.leases.Leases`."""
        held = _HeldLease(name)
        with storage_errors(self.label):
            held.session = held.stack.enter_context(self._leases.hold(number, name))
        self._held[number] = held
        try:
            yield
        finally:
            del self._held[number]
            held.stack.close()

    def state(self, lease: int, state: str) -> str:
        """Returns the recorded state, or `interrupted` if it is unfinished and no process holds the lease."""
        if state not in UNFINISHED:
            return state
        with storage_errors(self.label):
            return state if self._leases.held(lease) else "interrupted"

    def stream(self, page: Callable[[Connection, Record | None], list[Record]]) -> Iterator[Record]:
        """Yields the records of one page after the other; `page` returns those that follow a given record."""
        last: Record | None = None
        while True:
            with self.read() as connection:
                records = page(connection, last)
            if not records:
                return
            yield from records
            last = records[-1]

    def close(self) -> None:
        """Releases the connections."""
        self.engine.dispose()

    def _session(self, lease: int) -> Connection | None:
        """Returns the session of a lease, taking the lease again if the session broke."""
        held = self._held.get(lease)
        if held is None:
            return None
        if held.session is not None and (held.session.invalidated or held.session.closed):
            held.stack.close()
            held.session = held.stack.enter_context(self._leases.hold(lease, held.name, again=True))
        return held.session


def unknown_name(kind: str, name: str, names: Collection[str], label: str, command: str) -> StorageError:
    """Returns the error of a name that does not exist; suggests the closest of `names`, or a command that lists them.

    Args:
        kind: what was named, such as `run`.
        name: the unknown name.
        names: the names that exist.
        label: what messages call the database.
        command: lists the names.
    """
    closest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {closest[0]}?" if closest else f"`{command}` lists those that exist."
    return StorageError(f"there is no {kind} called {name} in {label}: {hint}")
