"""A storage that retries each call while its database is unavailable.

Knows nothing about searches. Other errors are not retried.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar, cast

from funsearch.core.ports import RunStorage
from funsearch.errors import StorageUnavailable

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")
StorageType = TypeVar("StorageType", bound=RunStorage)

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.1, 5.0
_END = object()


class Retrying:
    """Retries calls until the database is available again, for a limited time or until told to give up."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Makes a policy that retries a call for `seconds` by `clock`."""
        self.trouble: str | None = None
        """The error that is being retried; None if there is none. May be read from any thread."""
        self._seconds = seconds
        self._clock = clock
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Makes every waiting call retry once more and then fail; may be called from any thread."""
        self._given_up.set()

    def retry(self, call: Callable[[], Value]) -> Value:
        """Returns the result of `call`, retrying it while the database is unavailable.

        Raises:
            StorageUnavailable: the database was unavailable for too long.
        """
        deadline: float | None = None
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                value = call()
            except StorageUnavailable as error:
                now = self._clock()
                deadline = now + self._seconds if deadline is None else deadline
                if now >= deadline or self._given_up.is_set():
                    raise
                if self.trouble is None:
                    logger.warning("%s The search waits until the database is available again.", error)
                self.trouble = str(error)
                self._given_up.wait(min(delay, deadline - now))
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            else:
                if self.trouble is not None:
                    logger.warning("The database is available again; the search continues.")
                self.trouble = None
                return value


def retrying(storage: StorageType, policy: Retrying) -> StorageType:
    """Returns the storage with every call retried; a stream that breaks resumes where it was."""
    return cast(StorageType, _RetryingStorage(storage, policy))


class _RetryingStorage:
    """Wraps a storage, whatever methods it has."""

    def __init__(self, storage: RunStorage, policy: Retrying) -> None:
        self._storage = storage
        self._policy = policy

    def __getattr__(self, name: str) -> object:
        attribute = getattr(self._storage, name)
        return attribute if name in ("lease", "close") or not callable(attribute) else self._retried(attribute)

    def _retried(self, method: Callable[Arguments, object]) -> Callable[Arguments, object]:
        def retried(*args: Arguments.args, **kwargs: Arguments.kwargs) -> object:
            def call() -> object:
                return method(*args, **kwargs)

            value = self._policy.retry(call)
            return self._stream(value, call) if isinstance(value, Iterator) else value

        return retried

    def _stream(self, opened: Iterator[object], reopen: Callable[[], object]) -> Iterator[object]:
        stream: Iterator[object] | None = opened
        count = 0

        def following() -> object:
            nonlocal stream
            if stream is None:
                reopened = reopen()
                assert isinstance(reopened, Iterator)
                stream = itertools.islice(reopened, count, None)
            try:
                return next(stream, _END)
            except StorageUnavailable:
                stream = None
                raise

        while (value := self._policy.retry(following)) is not _END:
            count += 1
            yield value
