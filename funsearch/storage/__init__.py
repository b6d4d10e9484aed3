"""Keeps runs in a database: SQLite by default, PostgreSQL for a cluster. Knows nothing about what runs are for."""

from funsearch.storage.opening import open_storage
from funsearch.storage.sql import SqlStorage

__all__ = ["SqlStorage", "open_storage"]
