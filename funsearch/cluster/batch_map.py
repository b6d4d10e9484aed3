"""Has actors work off batches, though actors may die.

What a lost actor had is done again with nothing else at work, item by item if need be: an item is given up on when
actors died of it twice more, alone. Knows nothing about what the actors do.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.cluster.placement import cause
from funsearch.errors import TrainingError, first_line

logger = logging.getLogger(__name__)
Item = TypeVar("Item")

TRIES_ALONE = 2
READY_SECONDS = 300.0
"""How long actors may die one after the other before they answer anything."""
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WorkingOff(Generic[Item]):
    """Batches of one kind. `give_up` is only asked about single items."""

    actor: Callable[[], Any]
    """Returns the handle of whose turn it is."""
    ask: Callable[[Any, Sequence[Item]], Any]
    """Passes a batch to an actor and returns the reference to what comes of it."""
    wait: Callable[[list[Any]], Any]
    """Returns one of the references that is done, sooner or later."""
    give_up: Callable[[Item, RayError], Any]
    """Returns what stands for what comes of an item that actors die of, or raises."""
    despair: Callable[[Item, RayError], NoReturn]
    """Raises, as actors die of whatever they are given."""
    ahead: int
    """Batches with the actors at once."""
    hopeless: int
    """Items that actors die of before anything at all is done: then it is not the items."""

    def results(self, batches: Iterable[Sequence[Item]]) -> Iterator[tuple[Sequence[Item], Any]]:
        """Yields each batch, or a part of it, with what came of it."""
        given_up: list[tuple[Item, RayError]] = []
        hopeful = False
        for batch, value in self._tried(batches):
            if isinstance(value, RayError):
                given_up.append((batch[0], value))
                if not hopeful and len(given_up) >= self.hopeless:
                    self.despair(*given_up[0])
                continue
            hopeful = True
            yield batch, value
        # Last, so that none is given up on where all would be.
        for item, error in given_up:
            yield [item], self.give_up(item, error)

    def _tried(self, batches: Iterable[Sequence[Item]]) -> Iterator[tuple[Sequence[Item], Any]]:
        """Yields the same; with an item that actors died of, how the last one did."""
        pending: dict[Any, Sequence[Item]] = {}
        suspects: deque[Sequence[Item]] = deque()
        more = iter(batches)
        while True:
            while not suspects and len(pending) < self.ahead and (batch := next(more, None)) is not None:
                pending[self.ask(self.actor(), batch)] = batch
            if pending:
                done = self.wait(list(pending))
                batch = pending.pop(done)
                try:
                    value = _result(done)
                except RayError as error:
                    logger.warning("an actor died (%s); its batch is asked for again", first_line(error))
                    suspects.append(batch)
                    continue
                yield batch, value
            elif suspects:
                yield from self._alone(suspects.popleft())
            else:
                return

    def _alone(self, batch: Sequence[Item], tries: int = TRIES_ALONE) -> Iterator[tuple[Sequence[Item], Any]]:
        reference = self.ask(self._ready(), batch)
        try:
            value = _result(self.wait([reference]))
        except RayError as error:
            if len(batch) > 1:
                for item in batch:
                    yield from self._alone([item])
                return
            if tries > 1:
                yield from self._alone(batch, tries - 1)
                return
            value = error
        yield batch, value

    def _ready(self) -> Any:
        """Returns an actor that answers: one that died takes a while to come back, or another takes its place.

        Raises:
            TrainingError: none does.
        """
        end = time.monotonic() + READY_SECONDS
        while True:
            actor = self.actor()
            try:
                ray.get(self.wait([actor.__ray_ready__.remote()]))
                return actor
            except RayError as error:
                if time.monotonic() > end:
                    raise TrainingError(
                        f"No worker has come up for {READY_SECONDS:.0f} s ({first_line(error)}): is there enough "
                        "memory? The same command goes on."
                    ) from None
            time.sleep(PAUSE_SECONDS)


def _result(reference: Any) -> Any:
    """Returns what came of a call.

    Raises:
        RayError: the actor died.
    """
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise cause(error) from None
