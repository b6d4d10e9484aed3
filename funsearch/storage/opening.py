"""Opens a database by its URL. Knows nothing about what is stored in it."""

import os
import re
import sqlite3
import time
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from funsearch.errors import StorageError
from funsearch.storage.faults import storage_errors
from funsearch.storage.leases import AdvisoryLeases, FileLeases, LocalLeases
from funsearch.storage.schema import ensure_schema, no_database
from funsearch.storage.sql import SqlStorage

BUSY_SECONDS = 30
"""How long a writer waits for the transaction of another, which takes milliseconds."""
CONNECT_SECONDS = 10


def open_storage(url: str, create: bool = True) -> SqlStorage:
    """Opens the database at `url`, creating its tables or converting those of an older version if need be.

    Args:
        url: `sqlite:///runs.db`, `postgresql://user@host/name`, the path of a file that ends in `.db`, or `sqlite://`
            for a database in memory, which is lost when the storage is closed.
        create: whether to create the database if it does not exist; readers pass False.

    Raises:
        StorageError: the database cannot be used; the message says why and what to do.
    """
    address = _parse(url)
    storage = _open_postgres(address) if address.get_backend_name() == "postgresql" else _open_sqlite(address, create)
    try:
        with storage_errors(storage.label):
            ensure_schema(storage.engine, storage.label, create)
    except BaseException:
        storage.close()
        raise
    return storage


def absolute_url(url: str) -> str:
    """Returns the URL with the full path of a database file, for processes with another working directory."""
    address = _parse(url)
    if address.get_backend_name() == "sqlite" and not _in_memory(address):
        address = address.set(database=str(_path(address).absolute()))
    return address.render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """Returns the URL with its password hidden, whether it can be parsed or not."""
    return re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)


def _parse(url: str) -> URL:
    if "://" not in url and url.endswith(".db"):
        return URL.create("sqlite", database=url)
    try:
        address = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except (ArgumentError, ValueError):
        raise _unknown(without_password(url)) from None
    if address.drivername in ("sqlite", "sqlite+pysqlite"):
        return address.set(drivername="sqlite")
    if address.drivername in ("postgresql", "postgresql+psycopg"):
        return address.set(drivername="postgresql+psycopg")
    raise _unknown(address.render_as_string(hide_password=True))


def _unknown(url: str) -> StorageError:
    return StorageError(
        f"{url} is not the URL of a database: write sqlite:///FILE.db, postgresql://USER@HOST/NAME, or just FILE.db."
    )


def _path(address: URL) -> Path:
    return Path(address.database or ":memory:")


def _in_memory(address: URL) -> bool:
    return address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:")


def _open_postgres(address: URL) -> SqlStorage:
    label = address.set(drivername="postgresql").render_as_string(hide_password=True)
    try:
        engine = create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    except ImportError as error:
        raise StorageError(f"{label} needs the PostgreSQL driver: `pip install funsearch[postgres]`.") from error
    return SqlStorage(engine, AdvisoryLeases(engine), label)


def _open_sqlite(address: URL, create: bool) -> SqlStorage:
    path = _path(address)
    arguments = {"check_same_thread": False} | ({} if "timeout" in address.query else {"timeout": BUSY_SECONDS})
    if _in_memory(address):
        # Every connection to :memory: is a database of its own, so that threads take turns with one connection.
        engine = create_engine(address, connect_args=arguments, poolclass=QueuePool, pool_size=1, max_overflow=0)
        _set_up_connections(engine)
        return SqlStorage(engine, LocalLeases(), str(path))
    _check_path(path, create)
    engine = create_engine(address, connect_args=arguments)
    _set_up_connections(engine)
    return SqlStorage(engine, FileLeases(path), str(path))


def _check_path(path: Path, create: bool) -> None:
    if path.is_dir():
        raise StorageError(f"{path} is a folder: name a file in it with --db, such as {path / 'funsearch.db'}.")
    if not create and not path.exists():
        raise StorageError(no_database(str(path)))
    if not path.parent.is_dir():
        raise StorageError(
            f"There is no folder {path.parent} for the database {path.name}: create it, or correct --db."
        )
    target = path if path.exists() else path.parent
    if not os.access(target, os.R_OK | os.W_OK):
        raise StorageError(
            f"You do not have permission to read and write {target}: change its permissions, or name another file "
            "with --db."
        )


def _set_up_connections(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection, record):  # type: ignore[no-untyped-def]
        # Transactions begin in `begin`; by itself, the driver opens none before a read or a CREATE TABLE.
        connection.isolation_level = None
        _use_write_ahead_log(connection)
        # Every commit reaches the disk: samples cost money, so a power cut must not lose them.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer queues at once: a reader that becomes a writer is refused if another writer was faster.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Turns the write-ahead log on, with which others can read while one process writes.

    A new file is switched to it once. While another process starts with the same file, SQLite refuses that at once,
    without the wait that it applies to everything else.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
