"""Supervises actors of one kind: starts them, replaces those that die, and stops those that are too many.

Every call that gives an actor work goes through its supervisor, so that the work of an actor that dies is handed back
to the owner, which decides who does it next. Ray itself restarts no actor. Knows nothing about the work.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.cluster.handles import Actor, Ref, cause, reason
from funsearch.cluster.placement import lost_with_node
from funsearch.cluster.replicas import Replicas
from funsearch.errors import FunsearchError

logger = logging.getLogger(__name__)

A = TypeVar("A", bound=Actor)
Task = TypeVar("Task")
Result = TypeVar("Result")

RECONCILE_SECONDS = 0.2
"""How often the number of actors is compared with the number wanted."""


@dataclass(eq=False, slots=True)
class Member(Generic[A]):
    """A supervised actor and its state."""

    actor: A
    node: str = ""
    """Id of its node; empty until it has started."""
    calls: int = 0
    """Number of calls that it has not answered."""
    leaving: bool = False
    """Whether it is to be stopped once it has no more work."""


@dataclass(frozen=True, slots=True)
class Done(Generic[A, Task, Result]):
    """A call returned."""

    member: Member[A]
    task: Task
    result: Result


@dataclass(frozen=True, slots=True)
class Failed(Generic[Task]):
    """A call raised an exception; its actor lives."""

    task: Task
    error: Exception


@dataclass(frozen=True, slots=True)
class Lost(Generic[Task]):
    """A call was lost because its actor died."""

    task: Task
    error: RayError
    with_node: bool
    """Whether the actor was lost with its node, so that the task cannot have caused it."""


class Supervisor(Generic[A, Task, Result]):
    """Keeps as many actors running as its replicas want. Used by one thread.

    An actor that dies is replaced, however often; only a row of actors that die while they start is an error.
    """

    def __init__(
        self,
        replicas: Replicas[A],
        kind: str,
        *,
        max_failed_starts: int,
        start_error: Callable[[int, str], FunsearchError],
    ) -> None:
        """Starts no actor yet; `reconcile` does.

        Args:
            replicas: starts and stops the actors.
            kind: what messages call an actor.
            max_failed_starts: how many actors may die in a row while they start.
            start_error: makes the error to raise then, from their number and how the last one died.
        """
        self.members: list[Member[A]] = []
        """All actors, those that are starting or leaving included."""
        self.paused = False
        """Whether all actors are to be stopped for the time being."""
        self._replicas = replicas
        self._kind = kind
        self._max_failed_starts = max_failed_starts
        self._start_error = start_error
        self._failed_starts = 0
        self._starts: dict[Ref[object], Member[A]] = {}
        self._calls: dict[Ref[object], tuple[Member[A], Task]] = {}
        self._reconciled = -RECONCILE_SECONDS

    @property
    def ready(self) -> int:
        """Number of actors that have started."""
        return sum(1 for member in self.members if member.node)

    @property
    def available(self) -> list[Member[A]]:
        """The actors that take new work."""
        return [member for member in self.members if member.node and not member.leaving]

    @property
    def awaited(self) -> list[Ref[object]]:
        """The calls to wait for and then `take`."""
        return [*self._starts, *self._calls]

    @property
    def tasks(self) -> Iterator[Task]:
        """The tasks of the calls that are not answered."""
        return (task for _, task in self._calls.values())

    def reconcile(self) -> None:
        """Starts missing actors, and stops surplus ones once they have no work. To be called on each turn of a loop."""
        now = time.monotonic()
        if now - self._reconciled < RECONCILE_SECONDS:
            return
        self._reconciled = now
        wanted = 0 if self.paused else self._replicas.wanted()
        # Actors that are leaving are the first to come back, and the last to have started are the first to leave.
        ranked = sorted(self.members, key=lambda member: (member.leaving, not member.node, -member.calls))
        for rank, member in enumerate(ranked):
            member.leaving = rank >= wanted
            if member.leaving and not member.calls:
                self._remove(member)
        for _ in range(wanted - len(ranked)):
            member = Member(self._replicas.start())
            self.members.append(member)
            self._starts[member.actor.start.remote()] = member

    def send(self, member: Member[A], call: Ref[Result], task: Task) -> None:
        """Registers a call to an actor; `take` hands the task back when the call has ended in any way."""
        member.calls += 1
        self._calls[call] = member, task

    def take(self, call: Ref[object]) -> Done[A, Task, Result] | Failed[Task] | Lost[Task] | None:
        """Returns how one of the `awaited` calls ended; None if it was the start of an actor.

        Raises:
            FunsearchError: an actor cannot start, or too many in a row died while they started.
        """
        starting = self._starts.pop(call, None)
        if starting is not None:
            self._take_start(starting, call)
            return None
        member, task = self._calls.pop(call)
        member.calls -= 1
        try:
            result: Result = ray.get(call)
        except RayTaskError as error:
            return Failed(task, cause(error))
        except RayError as error:
            self.report_loss(member, error)
            return Lost(task, error, lost_with_node(error, member.node))
        self._failed_starts = 0
        return Done(member, task, result)

    def report_loss(self, member: Member[A], error: RayError) -> None:
        """Has an actor replaced that turned out to be dead."""
        if member in self.members:
            logger.warning("a %s died (%s): it is replaced, and its work is redone", self._kind, reason(error))
            self._drop(member)

    def abandon(self) -> None:
        """Forgets all calls; their results never arrive."""
        for member, _ in self._calls.values():
            member.calls -= 1
        self._calls.clear()

    def close(self) -> None:
        """Stops all actors."""
        for member in list(self.members):
            self._remove(member)

    def _take_start(self, member: Member[A], call: Ref[object]) -> None:
        try:
            member.node = ray.get(call)
        except RayTaskError as error:
            raise cause(error) from None
        except RayError as error:
            self._drop(member)
            if lost_with_node(error, member.node):
                return
            self._failed_starts += 1
            logger.warning("a %s died while it started (%s): it is replaced", self._kind, reason(error))
            if self._failed_starts >= self._max_failed_starts:
                raise self._start_error(self._failed_starts, reason(error)) from None
            return
        self._failed_starts = 0

    def _drop(self, member: Member[A]) -> None:
        """Removes an actor that died; the next `reconcile` replaces it."""
        self._remove(member)
        self._reconciled = -RECONCILE_SECONDS

    def _remove(self, member: Member[A]) -> None:
        self.members.remove(member)
        self._starts = {call: other for call, other in self._starts.items() if other is not member}
        self._replicas.stop(member.actor)
