"""Who may write to a run: one process at a time, told by something that the operating system or the server frees.

Knows nothing about what is written.
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

PATIENCE_SECONDS = 0.5
"""How long a lease is asked for: longer than the moment for which `held` holds it."""


class Leases(Protocol):
    """Gives out the leases of one database."""

    def hold(self, run: int, name: str, again: bool = False) -> AbstractContextManager[Connection | None]:
        """Returns a context that holds the lease of the run with the id `run` and the name `name`.

        `again` says that this process held it until its session broke. What the context yields, if anything, is the
        session that the lease lives in: what is written in it is written by the holder, and by nobody once it has lost
        the lease.
        """

    def held(self, run: int) -> bool:
        """Returns whether any process holds the lease of the run."""


class FileLeases:
    """Leases of a database file: a locked file beside it for each run. Ends with the process, whatever ends that."""

    def __init__(self, database: Path) -> None:
        self._database = database

    @contextmanager
    def hold(self, run: int, name: str, again: bool = False) -> Iterator[Connection | None]:
        path = self._path(run)
        lock = FileLock(path, timeout=PATIENCE_SECONDS, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise busy(name, _read(path)) from None
        except OSError as error:
            raise StorageError(
                f"Cannot lock {path}: {error.strerror}: give yourself write permission on it."
            ) from error
        try:
            with suppress(OSError):  # a full disk, say: only the name of the holder is missing then
                path.write_text(_this_process(), encoding="utf-8")
            yield None
        finally:
            lock.release()

    def held(self, run: int) -> bool:
        path = self._path(run)
        if not path.exists():
            return False
        try:
            with FileLock(path, blocking=False):
                return False
        except (Timeout, OSError):
            return True

    def _path(self, run: int) -> Path:
        # Named by the id: a run's name may be of any length and hold any character.
        return self._database.with_name(f"{self._database.name}.run{run}.lock")


class LocalLeases:
    """Leases of a database that lives in this process only."""

    def __init__(self) -> None:
        self._held: set[int] = set()

    @contextmanager
    def hold(self, run: int, name: str, again: bool = False) -> Iterator[Connection | None]:
        if run in self._held:
            raise busy(name, _this_process())
        self._held.add(run)
        try:
            yield None
        finally:
            self._held.remove(run)

    def held(self, run: int) -> bool:
        return run in self._held


class AdvisoryLeases:
    """Leases of a PostgreSQL database: advisory locks, each in a session that the server ends with the process."""

    _KEEPALIVE = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
    """A holder whose machine has lost power is noticed within a minute."""
    _HOLDER = text(
        "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND granted AND classid = :space "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND objid = :run AND objsubid = 2"
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def hold(self, run: int, name: str, again: bool = False) -> Iterator[Connection | None]:
        connection = self._engine.connect()
        # Out of the pool, so that closing ends the session, and with it the lease.
        connection.detach()
        try:
            with connection.begin():
                connection.execute(text(self._KEEPALIVE))
                connection.execute(text("SELECT set_config('application_name', :who, false)"), {"who": _this_process()})
                key = {"space": _space(connection), "run": run}
                if not connection.scalar(text("SELECT pg_try_advisory_lock(:space, :run)"), key):
                    holder = connection.scalar(self._HOLDER, key) or ""
                    if again and holder == _this_process():
                        # The session that broke; the server has not noticed yet.
                        raise StorageUnavailable(f"the lease of run {name} is still held by a broken connection.")
                    raise busy(name, holder)
            yield connection
        finally:
            with suppress(SQLAlchemyError):
                connection.close()

    def held(self, run: int) -> bool:
        with self._engine.connect() as connection:
            return connection.execute(self._HOLDER, {"space": _space(connection), "run": run}).first() is not None


def busy(name: str, holder: str) -> RunBusyError:
    """Returns what a second writer is told."""
    return RunBusyError(f"run {name} is being written by {holder or 'another process'}: wait for it, or stop it.")


def _this_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _space(connection: Connection) -> int:
    # Advisory locks are per database, run ids per schema.
    schema = connection.scalar(text("SELECT current_schema()"))
    return zlib.crc32(f"funsearch {schema}".encode()) & 0x7FFFFFFF
