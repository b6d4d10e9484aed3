"""Keeps the engine's thread on one processor, for the candidate to share: a call between them then costs half.

Nothing but speed depends on it; where the system has no means for it, nothing is done.
"""

import ctypes
import functools
import os
from collections.abc import Callable

from funsearch.sandbox.worker import ANY_CPU


class SharedProcessor:
    """The processor that the calling thread runs on, and stays on until it is released."""

    def __init__(self) -> None:
        self._before: set[int] = set()
        self.number = ANY_CPU
        """Which; ANY_CPU where there is no choice, or no means."""
        current = _current_processor()
        if current is not None:
            self._before = os.sched_getaffinity(0)
            self.number = current()
            os.sched_setaffinity(0, {self.number})

    def release(self) -> None:
        """Gives the thread back what it might use before. Calling it again does nothing."""
        if self._before:
            os.sched_setaffinity(0, self._before)
            self._before = set()


@functools.cache
def _current_processor() -> Callable[[], int] | None:
    library = ctypes.CDLL(None)
    if not hasattr(os, "sched_setaffinity") or not hasattr(library, "sched_getcpu"):
        return None
    return library.sched_getcpu
