"""The evaluators of a search as one: deals functions out to them, and sees to it that each gets its outcome.

An evaluator that dies is replaced and its functions are evaluated again. Who was with it is tried alone the second
time; a program whose evaluator dies then, too, is set aside with the status INFRA.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from funsearch.cluster.evaluation_queue import Delivery
from funsearch.cluster.placement import cause, lost_with_node
from funsearch.cluster.replicas import Crew
from funsearch.core.evaluator import Outcome
from funsearch.core.records import Status
from funsearch.errors import ProblemError, SandboxError, first_line
from funsearch.search.workers import Job, Scored

logger = logging.getLogger(__name__)

GROUP_SECONDS = 0.1
"""Outcomes that come within this time are fetched together."""
CALLS_PER_SECOND = 400
"""What the driver has time for; with more evaluators than it can call so often, each is called less often."""
TEND_SECONDS = 0.2
"""How often the number of evaluators is looked after."""
STILLBORN = 5
"""Evaluators that may die in a row before any comes to be ready."""


@dataclass(eq=False, slots=True)
class _Slot:
    """One evaluator and what it has."""

    worker: Any
    call: Any
    """What is awaited of it: its start, or an exchange. None while it has nothing to do."""
    node: str = ""
    """Empty until it is ready."""
    jobs: dict[int, Job] = field(default_factory=dict)
    since: float = 0.0
    """When it was last heard of, by the clock that never goes back."""
    behind: bool = False
    """Whether it has been at one program for so long that it is given nothing more."""
    alone: bool = False
    """Whether it has a program that may be deadly, which nobody else shall be near."""
    checked: bool = False
    """Whether it has just shown that it lives, so that a death after this is its program's doing."""
    leaving: bool = False


class EvaluatorPool:
    """Evaluates jobs on as many evaluators as the crew wants."""

    def __init__(self, crew: Crew, patience: float, problem: str) -> None:
        """Hires the first evaluators.

        Args:
            crew: hires evaluators.
            patience: seconds after which an evaluator that does not come back from one program hangs.
            problem: what messages call the problem.
        """
        self._crew = crew
        self._patience = patience
        self._problem = problem
        self._slots: dict[Any, _Slot] = {}
        """Those of whom something is awaited, by what is awaited."""
        self._free: list[_Slot] = []
        self._fresh: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._set_aside: set[str] = set()
        self._aside: list[Job] = []
        self._best: float | None = None
        self._number = 0
        self._seconds = GROUP_SECONDS
        self._stillborn = 0
        self._tended = -TEND_SECONDS
        self.tend()

    @property
    def evaluating(self) -> int:
        """Returns how many jobs have no outcome yet."""
        waiting = len(self._fresh) + len(self._suspects) + len(self._aside)
        return waiting + sum(len(slot.jobs) for slot in self._everybody())

    @property
    def ready(self) -> int:
        """Returns how many evaluators are at work or could be."""
        return sum(1 for slot in self._everybody() if slot.node)

    @property
    def capacity(self) -> int:
        """Returns how many jobs keep all evaluators busy until they are called again."""
        return self.ready * self._most(self._group_seconds())

    @property
    def workers(self) -> list[Any]:
        """Returns the handles of the evaluators."""
        return [slot.worker for slot in self._everybody()]

    @property
    def awaited(self) -> list[Any]:
        """Returns what to wait for."""
        return list(self._slots)

    def put(self, jobs: Sequence[Job], best: float | None) -> None:
        """Takes in jobs, with the best score so far."""
        for job in jobs:
            (self._aside if job.key in self._set_aside else self._fresh).append(job)
        self._best = best
        self.deal()

    def take(self, ref: Any) -> list[Scored]:
        """Returns the outcomes in what has come.

        Raises:
            FunsearchError: an evaluator cannot be made, or failed itself.
        """
        slot = self._slots.pop(ref)
        slot.since = time.monotonic()
        try:
            value = ray.get(ref)
        except RayTaskError as error:
            raise cause(error) from None
        except RayError as error:
            return self._lost(slot, error)
        self._stillborn = 0
        self._free.append(slot)
        if isinstance(value, Delivery):
            return self._received(slot, value)
        slot.node = value
        return []

    def take_aside(self) -> list[Scored]:
        """Returns the outcomes on programs that were set aside before."""
        jobs, self._aside = self._aside, []
        return [Scored(job, _set_aside("as it was before")) for job in jobs]

    def tend(self) -> None:
        """Hires and dismisses, deals out what waits, and notices who hangs.

        Raises:
            ProblemError: an evaluator hangs.
        """
        now = time.monotonic()
        if now - self._tended >= TEND_SECONDS:
            self._tended = now
            self._adjust(self._crew.wanted())
            self._notice_hanging(now)
        self.deal()

    def deal(self) -> None:
        """Gives everybody who is free something to do, as evenly as can be."""
        seconds = self._group_seconds()
        most = self._most(seconds)
        free, self._free = self._free, []
        for place, slot in enumerate(sorted(free, key=lambda slot: len(slot.jobs))):
            if slot.leaving and not slot.jobs:
                self._crew.dismiss(slot.worker)
                continue
            if self._suspects and not slot.jobs and not slot.checked and not slot.leaving:
                slot.checked = True
                slot.call = slot.worker.start.remote()
                self._slots[slot.call] = slot
                continue
            share = -(-len(self._fresh) // (len(free) - place))
            work = self._work_for(slot, min(share, most - len(slot.jobs)))
            if not slot.jobs:
                self._free.append(slot)
                continue
            # Who is alone with its evaluator is waited for; so is the program that holds up all others.
            slot.call = slot.worker.exchange.remote(work, self._best, seconds)
            self._slots[slot.call] = slot

    def close(self) -> None:
        """Ends the evaluators."""
        for slot in self._everybody():
            self._crew.dismiss(slot.worker)

    def _everybody(self) -> list[_Slot]:
        return [*self._slots.values(), *self._free]

    def _group_seconds(self) -> float:
        return max(GROUP_SECONDS, len(self._slots) / CALLS_PER_SECOND)

    def _most(self, seconds: float) -> int:
        """Returns how many jobs an evaluator has at most: thrice what it does between two calls, so it never idles."""
        return max(2, int(3 * seconds / max(self._seconds, 1e-4)))

    def _work_for(self, slot: _Slot, most: int) -> list[tuple[int, Any]]:
        if slot.leaving or slot.behind or slot.alone:
            return []
        if self._suspects and slot.checked:
            slot.alone = True
            jobs = [self._suspects.popleft()]
        else:
            jobs = [self._fresh.popleft() for _ in range(min(most, len(self._fresh)))]
        slot.checked = False
        if jobs and not slot.jobs:
            slot.since = time.monotonic()
        work = []
        for job in jobs:
            self._number += 1
            slot.jobs[self._number] = job
            work.append((self._number, job.function))
        return work

    def _received(self, slot: _Slot, delivery: Delivery) -> list[Scored]:
        self._fresh.extendleft(slot.jobs.pop(number) for number in reversed(delivery.back))
        slot.behind = not delivery.outcomes and bool(slot.jobs)
        scored = []
        for number, outcome in delivery.outcomes:
            self._seconds += 0.05 * (outcome.seconds - self._seconds)
            scored.append(Scored(slot.jobs.pop(number), outcome))
        slot.alone = slot.alone and bool(slot.jobs)
        return scored

    def _lost(self, slot: _Slot, error: RayError) -> list[Scored]:
        """Takes back what an evaluator had that is no more."""
        self._crew.dismiss(slot.worker)
        self._tended = -TEND_SECONDS  # replaced at once
        jobs = list(slot.jobs.values())
        if lost_with_node(error, slot.node):
            logger.warning("lost the node of an evaluator; its %d programs are evaluated elsewhere", len(jobs))
            (self._suspects if slot.alone else self._fresh).extendleft(reversed(jobs))
        elif not slot.node:
            self._stillborn += 1
            if self._stillborn >= STILLBORN:
                raise SandboxError(
                    f"{self._stillborn} evaluators in a row died while they started: {first_line(error)} Is there "
                    "enough memory?"
                )
            logger.warning("an evaluator died while it started (%s)", first_line(error))
        elif slot.alone:
            (job,) = jobs
            self._set_aside.add(job.key)
            name = f"sample {job.sample.index} of prompt {job.sample.prompt.index}"
            logger.warning("%s is set aside: it killed its evaluator twice (%s)", name, first_line(error))
            return [Scored(job, _set_aside(f"{name} killed its evaluator twice: {first_line(error)}"))]
        else:
            logger.warning("an evaluator died (%s); its %d programs are tried again", first_line(error), len(jobs))
            self._suspects.extend(jobs)
        return []

    def _adjust(self, wanted: int) -> None:
        everybody = self._everybody()
        staying = [slot for slot in everybody if not slot.leaving]
        for slot in everybody:  # those on their way out are the first to come back
            if len(staying) < wanted and slot.leaving:
                slot.leaving = False
                staying.append(slot)
        for _ in range(wanted - len(staying)):
            worker = self._crew.hire()
            slot = _Slot(worker, worker.start.remote())
            self._slots[slot.call] = slot
        # Those who are not there yet go first, then those with the least to do.
        for slot in sorted(staying, key=lambda slot: (bool(slot.node), len(slot.jobs)))[: len(staying) - wanted]:
            slot.leaving = True
            if not slot.node:
                del self._slots[slot.call]
                self._crew.dismiss(slot.worker)

    def _notice_hanging(self, now: float) -> None:
        """Raises when a problem's evaluator has long been back from its candidates, and does not come back itself."""
        for slot in self._slots.values():
            taken = now - slot.since
            if slot.jobs and taken > self._patience + self._group_seconds():
                raise ProblemError(
                    f"The evaluator of {self._problem} has not come back for {taken:.0f} s: its own code hangs, as "
                    "candidates are ended by their limits. If it needs so long, set evaluator_seconds higher."
                )


def _set_aside(why: str) -> Outcome:
    return Outcome(Status.INFRA, error=f"set aside: {why}")
