"""The evaluators of a search as one: distributes jobs among them, and makes sure that each job gets its outcome.

An evaluator that dies is replaced and its jobs are evaluated again, each alone with an evaluator. A program that kills
the evaluator it is alone with is set aside with the status INFRA.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ray.exceptions import RayError

from funsearch.cluster.actors import EvaluatorHandle
from funsearch.cluster.evaluation_queue import ExchangeResult
from funsearch.cluster.handles import Ref
from funsearch.cluster.replicas import Replicas
from funsearch.cluster.supervisor import Done, Failed, Lost, Member, Supervisor
from funsearch.core.evaluator import Outcome
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError, SandboxError, first_line
from funsearch.search.workers import Job, Scored

logger = logging.getLogger(__name__)

GROUP_SECONDS = 0.1
"""Outcomes that arrive within this time are fetched together."""
CALLS_PER_SECOND = 400
"""Calls that the driver has time for; with more evaluators than that allows, each is called less often."""
HANG_CHECK_SECONDS = 0.2
"""How often the evaluators are checked for one that hangs."""
FAILED_STARTS = 5
"""Number of evaluators that may die in a row while they start."""


@dataclass(slots=True)
class _Assignment:
    """The jobs of one evaluator."""

    heard: float
    """When the evaluator last replied, by the monotonic clock; with the first jobs, when it got them."""
    jobs: dict[int, Job] = field(default_factory=dict)
    behind: bool = False
    """Whether one program has taken the evaluator so long that it gets no further jobs."""
    alone: bool = False
    """Whether the one job may be deadly, so that no other may share the evaluator."""


_Member = Member[EvaluatorHandle]


class EvaluatorPool:
    """Evaluates jobs on as many evaluators as the replicas want. Used by one thread."""

    def __init__(self, replicas: Replicas[EvaluatorHandle], hang_seconds: float, problem: str) -> None:
        """Starts the first evaluators.

        Args:
            replicas: starts and stops evaluators.
            hang_seconds: time after which an evaluator that has not finished one program is considered to hang.
            problem: name of the problem, for messages.
        """
        self._hang_seconds = hang_seconds
        self._problem = problem
        # The task of a call is the assignment, or None for a call that only checks whether the evaluator lives.
        self._supervisor: Supervisor[EvaluatorHandle, _Assignment | None, ExchangeResult | str] = Supervisor(
            replicas, "evaluator", max_failed_starts=FAILED_STARTS, start_error=_start_error
        )
        self._unfinished: dict[_Member, _Assignment] = {}
        """Assignments that no call waits for at the moment; the next `dispatch` renews the calls."""
        self._new: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        """Jobs of evaluators that died."""
        self._set_aside: set[str] = set()
        """Keys of programs that are not evaluated again."""
        self._skipped: list[Job] = []
        """Jobs whose programs were set aside before."""
        self._best: float | None = None
        self._evaluating = 0
        self._number = 0
        self._average_seconds = GROUP_SECONDS
        self._hang_checked = -HANG_CHECK_SECONDS
        self._supervisor.reconcile()

    @property
    def evaluating(self) -> int:
        """Number of jobs without an outcome."""
        return self._evaluating

    @property
    def ready(self) -> int:
        """Number of evaluators that have started."""
        return self._supervisor.ready

    @property
    def capacity(self) -> int:
        """Number of jobs that keep all evaluators busy until they are called again."""
        return self.ready * self._most_jobs(self._group_seconds())

    @property
    def awaited(self) -> list[Ref[object]]:
        """The calls to wait for and then `take`."""
        return self._supervisor.awaited

    def put(self, jobs: Sequence[Job], best: float | None) -> None:
        """Takes in jobs, with the best score so far."""
        self._best = best
        if not jobs:
            return
        self._evaluating += len(jobs)
        for job in jobs:
            (self._skipped if job.key in self._set_aside else self._new).append(job)
        self.dispatch()

    def take(self, call: Ref[object]) -> list[Scored]:
        """Returns the outcomes that a finished call brings.

        Raises:
            FunsearchError: an evaluator cannot be made, or failed itself.
        """
        scored: list[Scored] = []
        match self._supervisor.take(call):
            case Done(member, None, _):
                self._test_suspect(member)
            case Done(member, _Assignment() as assignment, ExchangeResult() as result):
                scored = self._receive(member, assignment, result)
            case Lost(_Assignment() as assignment, error, with_node):
                scored = self._reassign(assignment, error, with_node)
            case Failed(_, error):
                raise error
        self._evaluating -= len(scored)
        return scored

    def take_skipped(self) -> list[Scored]:
        """Returns the outcomes of jobs whose programs were set aside before."""
        jobs, self._skipped = self._skipped, []
        self._evaluating -= len(jobs)
        return [Scored(job, _infra("as it was before")) for job in jobs]

    def reconcile(self) -> None:
        """Dispatches waiting jobs, starts and stops evaluators, and checks whether one hangs.

        Raises:
            ProblemError: an evaluator hangs.
        """
        self.dispatch()
        self._supervisor.reconcile()
        now = time.monotonic()
        if now - self._hang_checked >= HANG_CHECK_SECONDS:
            self._hang_checked = now
            self._check_hanging(now)

    def dispatch(self) -> None:
        """Gives jobs to all evaluators that no call waits for, as evenly as possible."""
        seconds = self._group_seconds()
        most = self._most_jobs(seconds)
        idle = [member for member in self._supervisor.members if member.node and not member.calls]
        idle.sort(key=lambda member: len(self._unfinished[member].jobs) if member in self._unfinished else 0)
        checks = len(self._suspects) - sum(task is None for task in self._supervisor.tasks) if self._suspects else 0
        for place, member in enumerate(idle):
            assignment = self._unfinished.pop(member, None) or _Assignment(time.monotonic())
            if checks > 0 and not assignment.jobs and not member.leaving:
                checks -= 1
                self._supervisor.send(member, member.actor.start.remote(), None)
                continue
            share = -(-len(self._new) // (len(idle) - place))
            jobs: list[Job] = []
            if not (member.leaving or assignment.behind or assignment.alone):
                count = min(share, most - len(assignment.jobs), len(self._new))
                jobs = [self._new.popleft() for _ in range(count)]
            if jobs or assignment.jobs:
                self._exchange(member, assignment, jobs, seconds)

    def close(self) -> None:
        """Stops the evaluators."""
        self._supervisor.close()

    def _exchange(self, member: _Member, assignment: _Assignment, jobs: Sequence[Job], seconds: float) -> None:
        functions: list[tuple[int, Function]] = []
        for job in jobs:
            self._number += 1
            assignment.jobs[self._number] = job
            functions.append((self._number, job.function))
        call = member.actor.exchange.remote(functions, self._best, seconds)
        self._supervisor.send(member, call, assignment)

    def _group_seconds(self) -> float:
        return max(GROUP_SECONDS, len(self._supervisor.members) / CALLS_PER_SECOND)

    def _most_jobs(self, seconds: float) -> int:
        """Returns the most jobs for one evaluator: three times what it does between two calls, so it never idles."""
        return max(2, int(3 * seconds / max(self._average_seconds, 1e-4)))

    def _test_suspect(self, member: _Member) -> None:
        """Gives a suspect to an evaluator that has just shown that it lives: its death is then the program's doing."""
        if self._suspects and not member.leaving:
            job = self._suspects.popleft()
            self._exchange(member, _Assignment(time.monotonic(), alone=True), [job], self._group_seconds())

    def _receive(self, member: _Member, assignment: _Assignment, result: ExchangeResult) -> list[Scored]:
        assignment.heard = time.monotonic()
        self._new.extendleft(assignment.jobs.pop(number) for number in reversed(result.returned))
        scored = []
        for number, outcome in result.outcomes:
            self._average_seconds += 0.05 * (outcome.seconds - self._average_seconds)
            scored.append(Scored(assignment.jobs.pop(number), outcome))
        if assignment.jobs:
            assignment.behind = not result.outcomes
            self._unfinished[member] = assignment
        return scored

    def _reassign(self, assignment: _Assignment, error: RayError, with_node: bool) -> list[Scored]:
        """Queues the jobs of an evaluator that died; returns the outcome of one that is set aside instead."""
        jobs = list(assignment.jobs.values())
        if with_node:
            (self._suspects if assignment.alone else self._new).extendleft(reversed(jobs))
            return []
        if not assignment.alone:
            self._suspects.extend(jobs)
            return []
        (job,) = jobs
        self._set_aside.add(job.key)
        name = f"sample {job.sample.index} of prompt {job.sample.prompt.index}"
        logger.warning("%s is set aside: it killed its evaluator twice (%s)", name, first_line(error))
        return [Scored(job, _infra(f"{name} killed its evaluator twice: {first_line(error)}"))]

    def _check_hanging(self, now: float) -> None:
        """Raises if the problem's own evaluator hangs; a candidate cannot, because its limits end it."""
        for assignment in self._supervisor.tasks:
            if assignment is None:
                continue
            seconds = now - assignment.heard
            if seconds > self._hang_seconds + self._group_seconds():
                raise ProblemError(
                    f"The evaluator of {self._problem} has not returned for {seconds:.0f} s: its own code hangs, as "
                    "candidates are stopped by their limits. If it needs that long, set evaluator_seconds higher."
                )


def _start_error(deaths: int, reason: str) -> SandboxError:
    return SandboxError(f"{deaths} evaluators in a row died while they started: {reason} Is there enough memory?")


def _infra(reason: str) -> Outcome:
    return Outcome(status=Status.INFRA, error=f"set aside: {reason}")
