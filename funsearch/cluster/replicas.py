"""Replicas of one kind of actor: how many there should be, how one is started, how one is stopped.

Knows nothing about what the actors do.
"""

import time
from collections.abc import Callable, Sequence
from typing import Generic, Literal, Protocol, TypeVar

import ray

from funsearch.cluster.handles import Actor, ActorOptions, nodes
from funsearch.cluster.placement import room

A = TypeVar("A", bound=Actor)

ROOM_SECONDS = 2.0
"""How often the cluster is checked for room."""


class Replicas(Protocol[A]):
    """Starts and stops actors of one kind. Used by one thread."""

    def wanted(self) -> int:
        """Returns how many replicas there should be now."""

    def start(self) -> A:
        """Returns a new replica; the cluster may not have room for it yet."""

    def stop(self, actor: A) -> None:
        """Stops a replica, even in the middle of its work."""


class SizedReplicas(Replicas[A], Protocol[A]):
    """Replicas whose number is set from outside."""

    count: int | Literal["auto"]
    """How many replicas there should be."""


class ActorReplicas(Generic[A]):
    """Replicas of an actor class: a fixed number, or as many as the cluster has room for."""

    def __init__(
        self,
        kind: type,
        arguments: Sequence[object],
        options: ActorOptions,
        count: int | Literal["auto"],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepares the replicas; none is started yet.

        Args:
            kind: class of the actors.
            arguments: of its constructor.
            options: of the actors.
            count: number of replicas; `auto` fills the cluster, as nodes come and go.
            clock: monotonic, in seconds.
        """
        self.count: int | Literal["auto"] = count
        # A supervisor replaces an actor that dies, so Ray must not restart it as well.
        self._make = ray.remote(kind).options(max_restarts=0, **options)
        self._arguments = arguments
        self._options = options
        self._clock = clock
        self._checked = -ROOM_SECONDS
        self._room = 1

    def wanted(self) -> int:
        if self.count != "auto":
            return self.count
        if self._clock() - self._checked >= ROOM_SECONDS:
            self._checked = self._clock()
            self._room = max(1, room(nodes(), self._options))
        return self._room

    def start(self) -> A:
        actor: A = self._make.remote(*self._arguments)
        return actor

    def stop(self, actor: A) -> None:
        ray.kill(actor)
