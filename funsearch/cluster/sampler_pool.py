"""The samplers of a search as one: gives each prompt to whoever has the fewest, and sees to it that it is answered.

A sampler that dies is replaced and its prompts are asked again.
"""

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from funsearch.cluster.placement import cause, lost_with_node
from funsearch.cluster.replicas import Crew
from funsearch.core.completions import Policy
from funsearch.core.records import Prompt
from funsearch.errors import SamplerError, SamplerExhausted, first_line
from funsearch.search.sampling import as_samples, request_for
from funsearch.search.workers import Exhausted, Sampled

logger = logging.getLogger(__name__)

MAX_TRIES = 3
LOOK_SECONDS = 0.25
"""How often a model's queue is looked at."""
TEND_SECONDS = 0.5
STILLBORN = 3
"""Samplers that may die in a row while they load."""


@dataclass(eq=False, slots=True)
class _Slot:
    """One sampler and how it stands."""

    worker: Any
    node: str = ""
    """Empty until its model is loaded."""
    prompts: int = 0
    leaving: bool = False
    look: Any = None
    looked: float = 0.0
    waiting: int | None = None
    """How many samples wait in its queue, by the latest look; None if that was told before."""


@dataclass(frozen=True, slots=True)
class _Asked:
    prompt: Prompt
    count: int
    tries: int = 1


class SamplerPool:
    """Asks prompts of as many samplers as the crew wants."""

    def __init__(self, crew: Crew) -> None:
        """Hires the first samplers."""
        self._crew = crew
        self._slots: list[_Slot] = []
        self._calls: dict[Any, tuple[_Slot, _Asked | None]] = {}
        self._queue: deque[_Asked] = deque()
        self._stillborn = 0
        self._tended = -TEND_SECONDS
        self.policy: Policy | None = None
        """Who answers prompts from now on; None: the samplers' own model. May be set from any thread."""
        self.resting = False
        """Whether all samplers shall be away for a while. May be set from any thread."""
        self.tend()

    @property
    def sampling(self) -> int:
        """Returns how many prompts are not answered yet."""
        return len(self._queue) + sum(1 for _, asked in self._calls.values() if asked)

    @property
    def ready(self) -> int:
        """Returns how many samplers have loaded their model."""
        return sum(1 for slot in self._slots if slot.node)

    @property
    def workers(self) -> list[Any]:
        """Returns the handles of the samplers."""
        return [slot.worker for slot in self._slots]

    @property
    def awaited(self) -> list[Any]:
        """Returns what to wait for."""
        return list(self._calls)

    def queued(self) -> int | None:
        """Returns how many samples wait in all queues; None if no queue was looked at since it was last told."""
        seen = [slot.waiting for slot in self._slots if slot.waiting is not None]
        if not seen or len(seen) < self.ready:
            return None
        for slot in self._slots:
            slot.waiting = None
        return sum(seen)

    def put(self, prompt: Prompt, count: int) -> None:
        """Takes in a prompt."""
        self._queue.append(_Asked(prompt, count))
        self._deal()

    def take(self, ref: Any) -> list[Sampled | Exhausted]:
        """Returns the answer in what has come.

        Raises:
            SamplerError: the model cannot be loaded, or cannot answer.
        """
        slot, asked = self._calls.pop(ref)
        slot.prompts -= asked is not None
        try:
            value = ray.get(ref)
        except RayTaskError as error:
            if asked and isinstance(error.cause, SamplerExhausted):
                return [Exhausted(asked.prompt)]
            raise cause(error) from None
        except RayError as error:
            self._lost(slot, asked, error)
            return []
        self._stillborn = 0
        if asked:
            return [Sampled(asked.prompt, as_samples(asked.prompt, value[0]))]
        slot.node = value
        self._deal()
        return []

    def tend(self) -> None:
        """Hires and dismisses, hands on what waits, and looks at the models' queues."""
        now = time.monotonic()
        if now - self._tended >= TEND_SECONDS:
            self._tended = now
            self._adjust(0 if self.resting else self._crew.wanted())
        for slot in [slot for slot in self._slots if slot.node]:
            try:
                _look(slot, now)
            except RayActorError as error:
                self._gone(slot, error)
            except RayError:
                pass  # whoever cannot be asked now may be later
        self._deal()

    def abandon(self) -> None:
        """Forgets all prompts; their answers never come."""
        self._queue.clear()
        for ref in [ref for ref, (_, asked) in self._calls.items() if asked]:
            slot, _ = self._calls.pop(ref)
            slot.prompts -= 1

    def close(self) -> None:
        """Ends the samplers."""
        for slot in self._slots:
            self._crew.dismiss(slot.worker)

    def _deal(self) -> None:
        ready = [slot for slot in self._slots if slot.node and not slot.leaving]
        while self._queue and ready:
            slot = min(ready, key=lambda slot: slot.prompts)
            asked = self._queue.popleft()
            slot.prompts += 1
            request = request_for(asked.prompt, asked.count, self.policy)
            self._calls[slot.worker.complete.remote([request])] = slot, asked

    def _lost(self, slot: _Slot, asked: _Asked | None, error: RayError) -> None:
        """Takes back a prompt of a sampler that is no more."""
        self._gone(slot, error)
        innocent = lost_with_node(error, slot.node)
        if asked is None:
            self._stillborn += not innocent
            if self._stillborn >= STILLBORN:
                raise SamplerError(
                    f"The sampler died {self._stillborn} times while it loaded the model: {first_line(error)}"
                )
            return
        if not innocent and asked.tries >= MAX_TRIES:
            raise SamplerError(f"The sampler died {asked.tries} times on the same prompt: {first_line(error)}")
        self._queue.append(_Asked(asked.prompt, asked.count, asked.tries + (not innocent)))

    def _gone(self, slot: _Slot, error: RayError) -> None:
        """Forgets a sampler; another is hired soon."""
        if slot in self._slots:
            self._slots.remove(slot)
            self._crew.dismiss(slot.worker)
            self._tended = -TEND_SECONDS
            logger.warning("lost a sampler (%s); its prompts are asked again", first_line(error))

    def _adjust(self, wanted: int) -> None:
        staying = [slot for slot in self._slots if not slot.leaving]
        for slot in self._slots:
            if len(staying) < wanted and slot.leaving:
                slot.leaving = False
                staying.append(slot)
        for _ in range(wanted - len(staying)):
            slot = _Slot(self._crew.hire())
            self._slots.append(slot)
            self._calls[slot.worker.start.remote()] = slot, None
        for slot in sorted(staying, key=lambda slot: (bool(slot.node), slot.prompts))[: len(staying) - wanted]:
            slot.leaving = True
        for slot in [slot for slot in self._slots if slot.leaving and not slot.prompts]:
            self._slots.remove(slot)
            self._calls = {ref: call for ref, call in self._calls.items() if call[0] is not slot}
            self._crew.dismiss(slot.worker)


def _look(slot: _Slot, now: float) -> None:
    """Keeps asking a sampler for the length of its queue, and never waits for the answer.

    Raises:
        RayError: it cannot answer.
    """
    if slot.look is None:
        if now - slot.looked >= LOOK_SECONDS:
            slot.look, slot.looked = slot.worker.stats.remote(), now
        return
    if ray.wait([slot.look], timeout=0)[0]:
        look, slot.look = slot.look, None
        stats = ray.get(look)
        slot.waiting = None if stats is None else stats.waiting
