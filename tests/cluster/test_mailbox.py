"""A mailbox: calls of other threads are made by the owner."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from funsearch.cluster.mailbox import Mailbox
from funsearch.errors import Interrupted


def deliver_until(mailbox: Mailbox, done: threading.Event) -> None:
    end = time.monotonic() + 30
    while not done.is_set() and time.monotonic() < end:
        mailbox.deliver()
        time.sleep(0.01)


def test_calls_are_made_in_the_owners_thread_in_their_order() -> None:
    mailbox = Mailbox()
    made: list[tuple[int, int]] = []
    with ThreadPoolExecutor(1) as other:
        for number in range(3):
            call = lambda number=number: made.append((number, threading.get_ident()))  # noqa: E731
            other.submit(mailbox.send, call).result()
    assert made == []
    mailbox.deliver()
    assert made == [(number, threading.get_ident()) for number in range(3)]


def test_result_and_exception_reach_the_thread_that_asks() -> None:
    mailbox = Mailbox()
    done = threading.Event()

    def ask() -> int:
        try:
            with pytest.raises(ZeroDivisionError):
                mailbox.ask(lambda: 1 // 0, lambda: False)
            return mailbox.ask(threading.get_ident, lambda: False)
        finally:
            done.set()

    with ThreadPoolExecutor(1) as other:
        answer = other.submit(ask)
        deliver_until(mailbox, done)
        assert answer.result() == threading.get_ident()


def test_end_of_the_work_ends_the_wait_for_an_answer() -> None:
    with pytest.raises(Interrupted):
        Mailbox().ask(lambda: None, lambda: True)
