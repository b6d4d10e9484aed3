"""Pins the engine's thread to a processor that the candidate shares, which halves the cost of calls between them.

Only speed depends on it. Does nothing where the system does not support it.
"""

import ctypes
import functools
import os
from collections.abc import Callable

from funsearch.sandbox.worker import ANY_CPU


class SharedProcessor:
    """The processor that the calling thread runs on. Pins the thread to it until `release` is called."""

    def __init__(self) -> None:
        self._before: set[int] = set()
        self.number = ANY_CPU
        """Number of the processor; ANY_CPU where pinning is not supported."""
        current = _current_processor()
        if current is not None:
            self._before = os.sched_getaffinity(0)
            self.number = current()
            os.sched_setaffinity(0, {self.number})

    def release(self) -> None:
        """Restores the thread's previous processors. A second call does nothing."""
        if self._before:
            os.sched_setaffinity(0, self._before)
            self._before = set()


@functools.cache
def _current_processor() -> Callable[[], int] | None:
    library = ctypes.CDLL(None)
    if not hasattr(os, "sched_setaffinity") or not hasattr(library, "sched_getcpu"):
        return None
    return library.sched_getcpu
