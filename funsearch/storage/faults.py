"""Turns the exceptions of the database library into one line that says what to do.

Knows nothing about what was being read or written.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from funsearch.errors import StorageError, StorageUnavailable

_SQLITE = {
    sqlite3.SQLITE_FULL: "the disk is full and this step was not written: free some space, then `funsearch resume`",
    sqlite3.SQLITE_BUSY: "another process keeps it locked: wait for that process, or stop it",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked: wait for that process, or stop it",
    sqlite3.SQLITE_READONLY: "it is read-only: give yourself write permission on the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: give yourself permission to read and write the file and its folder",
    sqlite3.SQLITE_PERM: "it cannot be opened: give yourself permission to read and write the file and its folder",
    sqlite3.SQLITE_NOTADB: "it is not a database: name another file with --db",
    sqlite3.SQLITE_CORRUPT: "it is damaged: use a copy, or recover the data with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_IOERR: "the disk cannot read or write it: check whether it is full or broken, then "
    "`funsearch resume`",
}
_POSTGRES = {
    "53100": "the server's disk is full and this step was not written: free some space, then `funsearch resume`",
    "42501": "the user lacks a permission: grant it the rights to create and use tables, or name another user in --db",
    "57014": "the server cancelled the statement: raise its statement_timeout",
}
_TRANSIENT_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR}
_TRANSIENT_POSTGRES = ("08", "53", "57P")
"""Classes of SQLSTATE: lost connections, exhausted resources, and a server that shuts down or starts up."""
_TWO_WRITERS = "is another process writing to the run?"
_UNREACHABLE = "is the server running, and is the URL given with --db right?"


@contextmanager
def storage_errors(label: str) -> Iterator[None]:
    """Converts the exceptions of the database library raised in the context into those of funsearch.

    Raises:
        StorageUnavailable: the database failed in a way that may pass: no connection, no space.
        StorageError: the database failed in another way; the message says what happened and what to do.
    """
    try:
        yield
    except SQLAlchemyError as error:
        kind = StorageUnavailable if _is_transient(error) else StorageError
        raise kind(f"Cannot use the database {label}: {_explanation(error)}") from error


def _is_transient(error: SQLAlchemyError) -> bool:
    """Returns whether waiting may help."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        return (getattr(original, "sqlite_errorcode", None) or 0) & 0xFF in _TRANSIENT_SQLITE
    state = getattr(original, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_TRANSIENT_POSTGRES)
    return isinstance(error, OperationalError) or getattr(error, "connection_invalidated", False)


def _explanation(error: SQLAlchemyError) -> str:
    message = _message(error)
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", None)
        remedy = _SQLITE.get(code & 0xFF) if code is not None else None
        if remedy:
            return f"{remedy} ({message})"
    if isinstance(error, IntegrityError):
        return (
            "nothing was written, because a record exists already or refers to a record that does not exist "
            f"({message}); {_TWO_WRITERS}"
        )
    remedy = _POSTGRES.get(getattr(original, "sqlstate", None) or "")
    if remedy:
        return f"{remedy} ({message})"
    lost = isinstance(error, OperationalError) and getattr(original, "sqlstate", "") is None
    return f"{message}: {_UNREACHABLE}" if lost else message


def _message(error: SQLAlchemyError) -> str:
    """Returns the database's own message in one line."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split())
