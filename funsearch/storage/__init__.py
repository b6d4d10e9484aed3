"""Keeps runs in a database: SQLite by default, PostgreSQL for a cluster. Knows nothing about what runs are for."""

from funsearch.storage.opening import absolute_url, open_storage
from funsearch.storage.sql import SqlStorage
from funsearch.storage.trainings import SqlTrainingStorage, open_training_storage

__all__ = ["SqlStorage", "SqlTrainingStorage", "absolute_url", "open_storage", "open_training_storage"]
