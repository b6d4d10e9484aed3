"""Opens a database by its URL. Knows nothing about what is stored in it."""

import os
import re
import sqlite3
import time
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from funsearch.errors import StorageError
from funsearch.storage.faults import storage_errors
from funsearch.storage.leases import AdvisoryLeases, FileLeases, Leases, LocalLeases
from funsearch.storage.schema import ensure_schema, no_database
from funsearch.storage.sql import SqlStorage

BUSY_SECONDS = 30
"""How long a writer waits for another one's transaction, which takes milliseconds."""
CONNECT_SECONDS = 10


def open_storage(url: str, create: bool = True) -> SqlStorage:
    """Opens the database at `url`, with its tables created or brought up to date.

    Args:
        url: `sqlite:///runs.db`, `postgresql://user@host/name`, or the path of a file that ends in `.db`.
        create: whether to make the database when there is none; readers pass False.

    Raises:
        StorageError: the database cannot be used; says why and what to do.
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


def absolute_url(url: str) -> str:
    """Returns the URL with the full path of an SQLite file: another process may have another working folder."""
    address = _parse(url)
    if address.get_backend_name() == "sqlite" and address.database and address.database != ":memory:":
        address = address.set(database=str(Path(address.database).absolute()))
    return address.render_as_string(hide_password=False)


def without_password(url: str) -> str:
    """Returns the URL as it may be shown, whether it can be read or not."""
    return re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)


def _unknown(url: str) -> StorageError:
    return StorageError(
        f"{url} is not the URL of a database: write sqlite:///FILE.db, postgresql://USER@HOST/NAME, or FILE.db alone."
    )


def _open_postgres(address: URL) -> SqlStorage:
    label = address.set(drivername="postgresql").render_as_string(hide_password=True)
    try:
        engine = create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_SECONDS})
    except ImportError as error:
        raise StorageError(f"{label} needs the PostgreSQL driver: `pip install funsearch[postgres]`.") from error
    return SqlStorage(engine, AdvisoryLeases(engine), label)


def _open_sqlite(address: URL, create: bool) -> SqlStorage:
    path = Path(address.database or ":memory:")
    in_memory = str(path) == ":memory:"
    if not in_memory:
        _check_path(path, create)
    # One connection for all threads: every connection to :memory: is a database of its own.
    engine = create_engine(
        address,
        connect_args={"check_same_thread": False} | ({} if "timeout" in address.query else {"timeout": BUSY_SECONDS}),
        **({"poolclass": StaticPool} if in_memory else {}),
    )
    _set_up_connections(engine)
    leases: Leases = LocalLeases() if in_memory else FileLeases(path)
    return SqlStorage(engine, leases, str(path))


def _check_path(path: Path, create: bool) -> None:
    if path.is_dir():
        raise StorageError(f"{path} is a folder: name a file in it with --db, as {path / 'funsearch.db'}.")
    if not create and not path.exists():
        raise StorageError(no_database(str(path)))
    if not path.parent.is_dir():
        raise StorageError(
            f"There is no folder {path.parent} for the database {path.name}: create it, or correct --db."
        )
    target = path if path.exists() else path.parent
    if not os.access(target, os.R_OK | os.W_OK):
        raise StorageError(
            f"You may not read and write {target}: change its permissions, or name another file with --db."
        )


def _set_up_connections(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection, record):  # type: ignore[no-untyped-def]
        # Transactions begin where `begin` says; left alone, the driver opens none before a read or a CREATE TABLE.
        connection.isolation_level = None
        _write_ahead(connection)
        # Every commit is on the disk: samples cost money, so a power cut may not take them either.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes its turn at once: a reader that turns writer would be refused when another was faster.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Sets the write-ahead log, with which readers go on while one process writes.

    A new file is switched to it once. SQLite refuses that at once, without the wait it knows for everything else,
    while another process has just begun with the same file.
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
