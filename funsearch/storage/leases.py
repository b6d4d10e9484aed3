"""Leases: which process may write to a run. A lease is a lock that the operating system or the server releases.

Knows nothing about what is written. Leases are told apart by numbers.
"""

import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from funsearch.errors import RunBusyError, StorageError, StorageUnavailable

ACQUIRE_SECONDS = 0.5
"""How long to wait for a lease: longer than `held` holds it for its check."""


class Leases(Protocol):
    """Gives out the leases of one database."""

    def hold(self, number: int, name: str, again: bool = False) -> AbstractContextManager[Connection | None]:
        """Returns a context that holds a lease.

        Where the lease lives in a database session, the context yields the connection of that session. Writes through
        it succeed only while the lease is held.

        Args:
            number: number of the lease.
            name: name of the run or training, for messages.
            again: whether this process held the lease until its session broke.

        Raises:
            RunBusyError: another process holds the lease (raised on entering).
            StorageUnavailable: the server still counts the broken session as the holder (raised on entering).
            StorageError: the lease cannot be taken (raised on entering).
        """

    def held(self, number: int) -> bool:
        """Returns whether any process holds the lease."""


class FileLeases:
    """Leases of a database file: a locked file beside it for each lease. The lock ends with the process."""

    def __init__(self, database: Path) -> None:
        self._database = database

    @contextmanager
    def hold(self, number: int, name: str, again: bool = False) -> Iterator[Connection | None]:
        path = self._path(number)
        lock = FileLock(path, timeout=ACQUIRE_SECONDS, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise busy(name, _read(path)) from None
        except OSError as error:
            raise StorageError(
                f"Cannot lock {path}: {error.strerror}: give yourself write permission on it."
            ) from error
        try:
            with suppress(OSError):  # on a full disk, for example, only the holder's name is missing
                path.write_text(_this_process(), encoding="utf-8")
            yield None
        finally:
            lock.release()

    def held(self, number: int) -> bool:
        path = self._path(number)
        if not path.exists():
            return False
        try:
            with FileLock(path, blocking=False):
                return False
        except (Timeout, OSError):
            return True

    def _path(self, number: int) -> Path:
        # Named by the number, because the name of a run may have any length and contain any character.
        return self._database.with_name(f"{self._database.name}.run{number}.lock")


class LocalLeases:
    """Leases of a database in the memory of this process."""

    def __init__(self) -> None:
        self._held: set[int] = set()

    @contextmanager
    def hold(self, number: int, name: str, again: bool = False) -> Iterator[Connection | None]:
        if number in self._held:
            raise busy(name, _this_process())
        self._held.add(number)
        try:
            yield None
        finally:
            self._held.remove(number)

    def held(self, number: int) -> bool:
        return number in self._held


class AdvisoryLeases:
    """Leases of a PostgreSQL database: advisory locks, each in a session that the server ends with the process."""

    _KEEPALIVE = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
    """Makes the server notice within a minute that the machine of a holder has lost power."""
    _HOLDER = text(
        "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND classid = :space "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND objid = :number AND objsubid = 2"
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def hold(self, number: int, name: str, again: bool = False) -> Iterator[Connection | None]:
        connection = self._engine.connect()
        # Removed from the pool, so that closing it ends the session, and with it the lease.
        connection.detach()
        try:
            with connection.begin():
                connection.execute(text(self._KEEPALIVE))
                connection.execute(
                    text("SELECT set_config('application_name', :holder, false)"), {"holder": _this_process()}
                )
                key = {"space": _space(connection), "number": number}
                if not connection.scalar(text("SELECT pg_try_advisory_lock(:space, :number)"), key):
                    holder = connection.scalar(self._HOLDER, key) or ""
                    if again and holder == _this_process():
                        # The broken session, which the server has not noticed yet.
                        raise StorageUnavailable(f"the lease of run {name} is still held by a broken connection.")
                    raise busy(name, holder)
            yield connection
        finally:
            with suppress(SQLAlchemyError):
                connection.close()

    def held(self, number: int) -> bool:
        with self._engine.connect() as connection:
            key = {"space": _space(connection), "number": number}
            return connection.execute(self._HOLDER, key).first() is not None


def busy(name: str, holder: str) -> RunBusyError:
    """Returns the error of a second writer."""
    return RunBusyError(f"run {name} is being written by {holder or 'another process'}: wait for it, or stop it.")


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _space(connection: Connection) -> int:
    # Advisory locks belong to a database, but ids of runs to a schema.
    schema = connection.scalar(text("SELECT current_schema()"))
    return zlib.crc32(f"funsearch {schema}".encode()) & 0x7FFFFFFF
