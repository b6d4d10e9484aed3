"""The samplers of a search as one: gives each prompt to the least busy sampler, and makes sure that it is answered.

A sampler that dies is replaced and its prompts are sent again.
"""

import logging
import time
from collections import deque
from dataclasses import dataclass

import ray
from ray.exceptions import RayActorError, RayError

from funsearch.cluster.actors import SamplerHandle
from funsearch.cluster.handles import Ref
from funsearch.cluster.replicas import Replicas
from funsearch.cluster.supervisor import Done, Failed, Lost, Member, Supervisor
from funsearch.core.completions import Completion, Policy, SamplerStats
from funsearch.core.records import Prompt
from funsearch.errors import SamplerError, SamplerExhausted, first_line
from funsearch.search.sampling import as_samples, request_for
from funsearch.search.workers import Exhausted, Sampled

logger = logging.getLogger(__name__)

MAX_TRIES = 3
"""How many samplers may die while they answer the same prompt."""
STATS_SECONDS = 0.25
"""How often a sampler is asked for the length of its queue."""
FAILED_STARTS = 3
"""Number of samplers that may die in a row while they load the model."""

_Member = Member[SamplerHandle]


@dataclass(frozen=True, slots=True)
class _Query:
    """A prompt on its way to a sampler."""

    prompt: Prompt
    count: int
    tries: int = 1


class SamplerPool:
    """Sends prompts to as many samplers as the replicas want. Used by one thread."""

    def __init__(self, replicas: Replicas[SamplerHandle]) -> None:
        """Starts the first samplers."""
        self.policy: Policy | None = None
        """The policy that answers prompts from now on; None for the samplers' own model."""
        self._supervisor: Supervisor[SamplerHandle, _Query, list[list[Completion]]] = Supervisor(
            replicas, "sampler", max_failed_starts=FAILED_STARTS, start_error=start_error
        )
        self._queue: deque[_Query] = deque()
        self._stats: dict[_Member, _Stats] = {}
        self._supervisor.reconcile()

    @property
    def sampling(self) -> int:
        """Number of prompts without an answer."""
        return len(self._queue) + sum(1 for _ in self._supervisor.tasks)

    @property
    def ready(self) -> int:
        """Number of samplers that have loaded their model."""
        return self._supervisor.ready

    @property
    def actors(self) -> list[SamplerHandle]:
        """The handles of the samplers."""
        return [member.actor for member in self._supervisor.members]

    @property
    def awaited(self) -> list[Ref[object]]:
        """The calls to wait for and then `take`."""
        return self._supervisor.awaited

    def queued(self) -> int | None:
        """Returns how many samples wait in all queues; None until each queue has reported since the latest call."""
        waiting = [stats.waiting for stats in self._stats.values() if stats.waiting is not None]
        if not waiting or len(waiting) < self.ready:
            return None
        for stats in self._stats.values():
            stats.waiting = None
        return sum(waiting)

    def put(self, prompt: Prompt, count: int) -> None:
        """Takes in a prompt."""
        self._queue.append(_Query(prompt, count))
        self._dispatch()

    def take(self, call: Ref[object]) -> list[Sampled | Exhausted]:
        """Returns the answer that a finished call brings.

        Raises:
            SamplerError: the model cannot be loaded, or cannot answer.
        """
        match self._supervisor.take(call):
            case Done(_, query, completions):
                return [Sampled(query.prompt, as_samples(query.prompt, completions[0]))]
            case Failed(query, SamplerExhausted()):
                return [Exhausted(query.prompt)]
            case Failed(_, error):
                raise error
            case Lost(query, error, with_node):
                self._requeue(query, error, with_node)
        return []

    def reconcile(self) -> None:
        """Dispatches waiting prompts, starts and stops samplers, and asks for the length of their queues."""
        self._supervisor.reconcile()
        self._update_stats(time.monotonic())
        self._dispatch()

    def rest(self, resting: bool) -> None:
        """Stops all samplers once they have answered their prompts, or starts them again."""
        self._supervisor.paused = resting

    def abandon(self) -> None:
        """Drops all prompts; their answers never arrive."""
        self._queue.clear()
        self._supervisor.abandon()

    def close(self) -> None:
        """Stops the samplers."""
        self._supervisor.close()

    def _dispatch(self) -> None:
        available = self._supervisor.available if self._queue else []
        while self._queue and available:
            member = min(available, key=lambda member: member.calls)
            query = self._queue.popleft()
            request = request_for(query.prompt, query.count, self.policy)
            self._supervisor.send(member, member.actor.complete.remote([request]), query)

    def _requeue(self, query: _Query, error: RayError, with_node: bool) -> None:
        """Queues a prompt again whose sampler died.

        Raises:
            SamplerError: too many samplers died while they answered it.
        """
        if with_node:
            self._queue.append(query)
        elif query.tries >= MAX_TRIES:
            raise SamplerError(f"The sampler died {query.tries} times on the same prompt: {first_line(error)}")
        else:
            self._queue.append(_Query(query.prompt, query.count, query.tries + 1))

    def _update_stats(self, now: float) -> None:
        members = [member for member in self._supervisor.members if member.node]
        self._stats = {member: self._stats.get(member) or _Stats() for member in members}
        for member, stats in self._stats.items():
            try:
                stats.update(member.actor, now)
            except RayActorError as error:
                self._supervisor.report_loss(member, error)
            except RayError:
                pass  # it is asked again


@dataclass(slots=True)
class _Stats:
    """The length of one sampler's queue, asked for now and then without ever waiting for the answer."""

    waiting: int | None = None
    """How many samples wait in the queue; None if that is not known, or was read before."""
    _call: Ref[SamplerStats | None] | None = None
    _called: float = 0.0

    def update(self, actor: SamplerHandle, now: float) -> None:
        """Takes in an answer, or asks for the next one when it is time.

        Raises:
            RayError: the sampler cannot answer.
        """
        if self._call is None:
            if now - self._called >= STATS_SECONDS:
                self._call, self._called = actor.stats.remote(), now
            return
        if ray.wait([self._call], timeout=0)[0]:
            call, self._call = self._call, None
            stats: SamplerStats | None = ray.get(call)
            self.waiting = None if stats is None else stats.waiting


def start_error(deaths: int, reason: str) -> SamplerError:
    """Returns the error for samplers that die in a row while they load the model."""
    return SamplerError(f"The sampler died {deaths} times while it loaded the model: {reason}")
