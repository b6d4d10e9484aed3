"""Maps batches of items to results with supervised actors, and finds the items that actors die of.

The batch of an actor that died is tried again while no other batch is in progress, item by item if need be. An item is
given up when actors have died of it twice more. Knows nothing about what the actors do.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NoReturn, TypeVar

from ray.exceptions import RayError

from funsearch.cluster.handles import Actor, Ref
from funsearch.cluster.supervisor import Done, Failed, Lost, Member, Supervisor

A = TypeVar("A", bound=Actor)
Item = TypeVar("Item")
Result = TypeVar("Result")

BATCHES_AHEAD = 2
"""Batches with an actor at once, so that it never idles between two."""
TRIES_ALONE = 2
"""Number of actors that may die of one item alone."""


@dataclass(frozen=True, slots=True)
class Attempt(Generic[Item]):
    """A batch on its way to an actor."""

    batch: Sequence[Item]
    alone: bool = False
    """Whether no other batch may be in progress, since an actor died of this one."""
    deaths: int = 0
    """Number of actors that died of its one item alone."""

    def retries(self) -> "list[Attempt[Item]]":
        """Returns the attempts that follow the death of an actor; none if the one item is to be given up."""
        if not self.alone:
            return [Attempt(self.batch, alone=True)]
        if len(self.batch) > 1:
            return [Attempt([item], alone=True) for item in self.batch]
        deaths = self.deaths + 1
        return [replace(self, deaths=deaths)] if deaths < TRIES_ALONE else []


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchMap(Generic[A, Item, Result]):
    """How batches of one kind are mapped."""

    supervisor: Supervisor[A, Attempt[Item], Result]
    """Of the actors; no one else may use it meanwhile."""
    send: Callable[[A, Sequence[Item]], Ref[Result]]
    """Passes a batch to an actor."""
    wait: Callable[[Sequence[Ref[object]]], Sequence[Ref[object]]]
    """Returns the calls that are done; none of them after a moment. May raise to stop the map."""
    fallback: Callable[[Item, RayError], Result]
    """Returns the result for a batch of an item that was given up, or raises."""
    fail: Callable[[Item, RayError], NoReturn]
    """Raises, because actors die of all items."""
    max_given_up: int
    """Number of items to give up before the first result, at which all items are considered fatal."""

    def results(self, batches: Iterable[Sequence[Item]]) -> Iterator[tuple[Sequence[Item], Result]]:
        """Yields each batch, or a part of it, with its result, in the order in which they are done.

        Raises:
            Exception: whatever an actor raised.
        """
        given_up: list[tuple[Item, RayError]] = []
        any_result = False
        for batch, outcome in self._outcomes(iter(batches)):
            if isinstance(outcome, _GivenUp):
                given_up.append((batch[0], outcome.error))
                if not any_result and len(given_up) >= self.max_given_up:
                    self.fail(*given_up[0])
                continue
            any_result = True
            yield batch, outcome
        # Last, so that no item is given up where all would be.
        for item, error in given_up:
            yield [item], self.fallback(item, error)

    def _outcomes(self, batches: Iterator[Sequence[Item]]) -> Iterator[tuple[Sequence[Item], "Result | _GivenUp"]]:
        """Yields each batch, or a part of it, with its result, or with how the last actor died of it."""
        supervisor = self.supervisor
        again: deque[Attempt[Item]] = deque()
        try:
            upcoming = next(batches, None)
            while upcoming is not None or again or any(supervisor.tasks):
                supervisor.reconcile()
                while upcoming is not None and not again and (member := self._member_for_batch()):
                    self._send(member, Attempt(upcoming))
                    upcoming = next(batches, None)
                if again and not any(supervisor.tasks) and (member := self._least_busy()):
                    self._send(member, again.popleft())
                for call in self.wait(supervisor.awaited):
                    match supervisor.take(call):
                        case Done(_, attempt, result):
                            yield attempt.batch, result
                        case Failed(_, error):
                            raise error
                        case Lost(attempt, error, with_node):
                            retries = [attempt] if with_node else attempt.retries()
                            again.extendleft(reversed(retries))
                            if not retries:
                                yield attempt.batch, _GivenUp(error)
        finally:
            supervisor.abandon()

    def _send(self, member: Member[A], attempt: Attempt[Item]) -> None:
        self.supervisor.send(member, self.send(member.actor, attempt.batch), attempt)

    def _member_for_batch(self) -> Member[A] | None:
        """Returns an actor that may get another batch now, if there is one."""
        member = self._least_busy()
        if member is None or member.calls >= BATCHES_AHEAD or any(task.alone for task in self.supervisor.tasks):
            return None
        return member

    def _least_busy(self) -> Member[A] | None:
        return min(self.supervisor.available, key=lambda member: member.calls, default=None)


@dataclass(frozen=True, slots=True)
class _GivenUp:
    """Stands for the result of an item that was given up."""

    error: RayError
    """How the last actor died of it."""
