"""Who works at a search: how many of one kind there should be, how one is hired, how one is dismissed.

Knows nothing about the work.
"""

import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

import ray

from funsearch.cluster.placement import room

LOOK_SECONDS = 2.0
"""How often the cluster is looked at for room."""


class Crew(Protocol):
    """Hires workers: handles on actors with a method `start`."""

    count: int | Literal["auto"]
    """How many there should be; may be changed from any thread."""

    def wanted(self) -> int:
        """Returns how many there should be now."""

    def hire(self) -> Any:
        """Returns a new worker, whom the cluster may have no room for yet."""

    def dismiss(self, worker: Any) -> None:
        """Ends a worker, whatever it is doing."""


class ActorCrew:
    """Actors of one class, as many as asked for or as the cluster has room for."""

    def __init__(
        self,
        kind: type,
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        count: int | Literal["auto"],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remembers what to make.

        Args:
            kind: the actor's class.
            arguments: of its constructor.
            options: of Ray for it.
            count: how many; `auto` fills the cluster and follows it.
            now: the clock.
        """
        self.count: int | Literal["auto"] = count
        self._make = ray.remote(kind).options(**options)
        self._arguments = arguments
        self._options = options
        self._now = now
        self._looked = -LOOK_SECONDS
        self._room = 1

    def wanted(self) -> int:
        if self.count != "auto":
            return self.count
        if self._now() - self._looked >= LOOK_SECONDS:
            self._looked = self._now()
            self._room = max(1, room(ray.nodes(), self._options))
        return self._room

    def hire(self) -> Any:
        return self._make.remote(*self._arguments)

    def dismiss(self, worker: Any) -> None:
        ray.kill(worker)
