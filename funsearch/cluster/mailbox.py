"""Calls from other threads, carried out by the one thread that owns an object."""

from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

from funsearch.errors import Interrupted

T = TypeVar("T")

CHECK_SECONDS = 0.2


class Mailbox:
    """Queues calls until their owner carries them out with `deliver`. `send` and `ask` are for any other thread."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def send(self, call: Callable[[], object]) -> None:
        """Has the owner make a call, and returns at once."""
        self._calls.put(call)

    def ask(self, call: Callable[[], T], stopped: Callable[[], bool]) -> T:
        """Has the owner make a call, and returns its result or raises its exception.

        Raises:
            Interrupted: `stopped` turned true before the owner had made the call.
        """
        answer: Future[T] = Future()
        self._calls.put(lambda: _fulfil(answer, call))
        while True:
            try:
                return answer.result(CHECK_SECONDS)
            except TimeoutError:
                if stopped():
                    raise Interrupted("The work ended before a request was answered.") from None

    def deliver(self) -> None:
        """Makes the calls that are waiting. Only the owner may call it."""
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            call()


def _fulfil(answer: Future[T], call: Callable[[], T]) -> None:
    # The exception belongs to the thread that asked.
    try:
        answer.set_result(call())
    except Exception as error:
        answer.set_exception(error)
