"""Keeps runs and trainings in a database: SQLite by default, PostgreSQL for a cluster.

Knows nothing about what they are used for.
"""

from funsearch.storage.opening import absolute_url, open_storage
from funsearch.storage.sql import SqlStorage

__all__ = ["SqlStorage", "absolute_url", "open_storage"]
