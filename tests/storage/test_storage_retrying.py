"""Calls to a storage are retried while its database is unavailable, and streams resume where they broke."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from funsearch.errors import StorageError, StorageUnavailable
from funsearch.storage import SqlStorage, open_storage
from funsearch.storage.retrying import Retrying, retrying


@pytest.fixture
def storage(make) -> Iterator[SqlStorage]:
    """A storage with a run, `demo`, of 2,500 evaluations, which take several pages."""
    opened = open_storage("sqlite://")
    opened.create_run(make.run())
    opened.append("demo", [event for index in range(2500) for event in make.evaluated(index)])
    yield opened
    opened.close()


@pytest.fixture
def break_down(storage: SqlStorage) -> Callable[[int], None]:
    """A function that makes the next transactions fail as if the server were unreachable."""
    remaining = 0

    @event.listens_for(storage.engine, "begin")
    def fail(connection: object) -> None:
        nonlocal remaining
        if remaining:
            remaining -= 1
            raise OperationalError("BEGIN", None, ConnectionError("connection refused"))

    def fail_next(count: int) -> None:
        nonlocal remaining
        remaining = count

    return fail_next


def test_call_is_retried_until_the_database_is_available(
    storage: SqlStorage, break_down: Callable[[int], None], make
) -> None:
    policy = Retrying(60.0)
    break_down(2)
    retrying(storage, policy).append("demo", [make.prompt(9000)])
    assert [prompt.index for prompt in storage.unanswered("demo")] == [9000]
    assert policy.trouble is None


def test_stream_resumes_where_it_broke(storage: SqlStorage, break_down: Callable[[int], None]) -> None:
    stream = retrying(storage, Retrying(60.0)).evaluations("demo")
    indices = [next(stream).sample.prompt.index for _ in range(700)]
    break_down(2)
    indices += [evaluation.sample.prompt.index for evaluation in stream]
    assert indices == list(range(2500))


def test_call_fails_when_the_time_is_up(storage: SqlStorage, break_down: Callable[[int], None]) -> None:
    now = iter(range(0, 1000, 30))
    policy = Retrying(60.0, clock=lambda: float(next(now)))
    break_down(100)
    with pytest.raises(StorageUnavailable, match="connection refused"):
        retrying(storage, policy).counts("demo")
    assert "connection refused" in str(policy.trouble)
    assert next(now) == 90


def test_call_fails_once_the_policy_gives_up(storage: SqlStorage, break_down: Callable[[int], None]) -> None:
    policy = Retrying(3600.0)
    policy.give_up()
    break_down(100)
    with pytest.raises(StorageUnavailable):
        retrying(storage, policy).counts("demo")


def test_other_errors_are_not_retried(storage: SqlStorage) -> None:
    with pytest.raises(StorageError, match="no run called demq"):
        retrying(storage, Retrying(3600.0)).counts("demq")
