"""A storage that retries each call while its database is away.

Knows nothing about searches; other errors pass through.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from funsearch.core.ports import Storage
from funsearch.errors import StorageUnavailable

logger = logging.getLogger(__name__)

Value = TypeVar("Value")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0


class Retrying:
    """Tries again until the database is there, up to a time, or until told to give up."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.trouble: str | None = None
        """What is being waited for; None when nothing is. May be read from any thread."""
        self._seconds = seconds
        self._clock = clock
        self._over = threading.Event()

    def give_up(self) -> None:
        """Makes every waiting call try once more and then fail; may be called from any thread."""
        self._over.set()

    def retry(self, what: Callable[[], Value]) -> Value:
        """Returns what `what` returns, once the database is there.

        Raises:
            StorageUnavailable: it was away for too long.
        """
        end: float | None = None
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                value = what()
            except StorageUnavailable as error:
                now = self._clock()
                end = now + self._seconds if end is None else end
                if now >= end or self._over.is_set():
                    raise
                if self.trouble is None:
                    logger.warning("%s The search waits.", error)
                self.trouble = str(error)
                self._over.wait(min(pause, end - now))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                if self.trouble is not None:
                    logger.warning("The database is back; the search continues.")
                self.trouble = None
                return value


def retrying(storage: Storage, policy: Retrying) -> Storage:
    """Returns the storage with every call retried; a stream that breaks resumes where it was."""
    return cast(Storage, _RetryingStorage(storage, policy))


class _RetryingStorage:
    """Stands before a storage, whatever methods that has."""

    def __init__(self, storage: Storage, policy: Retrying) -> None:
        self._storage = storage
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._storage, name)
        if not callable(method) or name in ("lease", "close"):
            return method

        def retried(*args: Any, **kwargs: Any) -> Any:
            value = self._policy.retry(lambda: method(*args, **kwargs))
            return self._stream(value, lambda: method(*args, **kwargs)) if isinstance(value, Iterator) else value

        return retried

    def _stream(self, stream: Iterator[Any], again: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        done = 0

        def following() -> Any:
            nonlocal stream
            try:
                return next(stream, _END)
            except StorageUnavailable:
                stream = itertools.islice(again(), done, None)
                raise

        while (value := self._policy.retry(following)) is not _END:
            done += 1
            yield value


_END = object()
