"""Turns what a database library raises into one line that says what to do.

Knows nothing about what was being read or written.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from funsearch.errors import StorageError, StorageUnavailable

_SQLITE = {
    sqlite3.SQLITE_FULL: "the disk is full, nothing of this step was written: free some space, then `funsearch resume`",
    sqlite3.SQLITE_BUSY: "another process keeps it locked: wait for it, or stop it",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked: wait for it, or stop it",
    sqlite3.SQLITE_READONLY: "it may not be written: give yourself write permission on the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: give yourself permission to read and write the file and its folder",
    sqlite3.SQLITE_PERM: "it cannot be opened: give yourself permission to read and write the file and its folder",
    sqlite3.SQLITE_NOTADB: "it is not a database: name another file with --db",
    sqlite3.SQLITE_CORRUPT: "it is damaged: use a copy, or save what is left with `sqlite3 FILE .recover`",
    sqlite3.SQLITE_IOERR: "the disk cannot read or write it: see whether it is full or broken, then `funsearch resume`",
}
_POSTGRES = {
    "53100": "the server's disk is full, nothing of this step was written: free some space, then `funsearch resume`",
    "42501": "the user may not do this: grant it the rights to create and use tables, or name another user in --db",
    "57014": "the server cancelled the statement: raise its statement_timeout",
}
_PASSING_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR}
_PASSING_POSTGRES = ("08", "53", "57P")
"""Connections lost, resources used up, a server that stops or starts: classes of SQLSTATE."""
_TWO_WRITERS = "is another process writing to the run?"
_UNREACHABLE = "is the server running, and is the URL given with --db right?"


@contextmanager
def storage_errors(label: str) -> Iterator[None]:
    """Lets no error of the database library pass as what it is.

    Raises:
        StorageUnavailable: what failed may go well later: no connection, no room.
        StorageError: something else failed; says what and what to do.
    """
    try:
        yield
    except SQLAlchemyError as error:
        kind = StorageUnavailable if _passes(error) else StorageError
        raise kind(f"Cannot use the database {label}: {_explain(error)}") from error


def _passes(error: SQLAlchemyError) -> bool:
    """Returns whether waiting may help."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        return (getattr(original, "sqlite_errorcode", None) or 0) & 0xFF in _PASSING_SQLITE
    state = getattr(original, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_PASSING_POSTGRES)
    return isinstance(error, OperationalError) or getattr(error, "connection_invalidated", False)


def _explain(error: SQLAlchemyError) -> str:
    said = _cause(error)
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", None)
        known = _SQLITE.get(code & 0xFF) if code is not None else None
        if known:
            return f"{known} ({said})"
    if isinstance(error, IntegrityError):
        return f"nothing was written, as part of it was there before or refers to what is not ({said}); {_TWO_WRITERS}"
    known = _POSTGRES.get(getattr(original, "sqlstate", None) or "")
    if known:
        return f"{known} ({said})"
    lost = isinstance(error, OperationalError) and getattr(original, "sqlstate", "") is None
    return f"{said}: {_UNREACHABLE}" if lost else said


def _cause(error: SQLAlchemyError) -> str:
    """Returns in one line what the database itself said."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(said).split())
