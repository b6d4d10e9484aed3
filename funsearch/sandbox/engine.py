"""The engine's sandbox: one warm worker, and a fresh fork of it for each candidate.

Knows nothing about what the levels of confinement guarantee; see `levels`.
"""

import math
import os
import socket

from funsearch.core.ports import CandidateFailure
from funsearch.core.records import Limits, Status
from funsearch.errors import SandboxError
from funsearch.sandbox import codec
from funsearch.sandbox.affinity import SharedProcessor
from funsearch.sandbox.candidate import ForkedCandidate
from funsearch.sandbox.process import Level, Policy, WorkerLost, WorkerProcess
from funsearch.sandbox.worker import Job

CPU_INPUTS = 100
"""Default processor time of a candidate over all inputs, as a multiple of its wall-clock limit for one input."""


class ForkSandbox:
    """Runs candidates at one level of confinement. Used by one thread, in the process that created it."""

    def __init__(self, level: Level) -> None:
        """Starts the worker.

        Raises:
            SandboxError: the worker does not start at this level.
        """
        self._level = level
        self._policy = Policy()
        self._owner = os.getpid()
        self._current: ForkedCandidate | None = None
        self._worker: WorkerProcess | None = WorkerProcess(level, self._policy)
        self._closed = False

    @property
    def level(self) -> str:
        return self._level.name

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker; None if it is not running."""
        return self._worker.pid if self._worker else None

    def start(self, source: str, limits: Limits) -> ForkedCandidate:
        if self._closed or os.getpid() != self._owner:
            raise SandboxError("This sandbox is closed, or belongs to another process: open a new one in this process.")
        self._end_current()
        try:
            return self._load(source, limits)
        except WorkerLost:
            self._worker = None
        try:
            return self._load(source, limits)
        except WorkerLost as error:
            self._worker = None
            raise SandboxError(f"The sandbox's worker died, and died again after a restart ({error}).") from None

    def refresh(self) -> None:
        self._end_current()
        self._end_worker()

    def close(self) -> None:
        self._closed = True
        if os.getpid() == self._owner:
            self._end_current()
        self._end_worker()

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _end_current(self) -> None:
        if self._current is not None:
            self._current.close()
            self._current = None

    def _load(self, source: str, limits: Limits) -> ForkedCandidate:
        policy = Policy(limits.threads, limits.modules)
        if policy != self._policy:
            self._end_worker()
            self._policy = policy
        if self._worker is None:
            self._worker = WorkerProcess(self._level, policy)
        processor = SharedProcessor()
        cpu_seconds = math.ceil(limits.cpu_seconds or limits.seconds * CPU_INPUTS)
        job = Job(source, limits.memory_mb * 2**20, cpu_seconds, limits.output_bytes, processor.number)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._worker.send_job(job, theirs)
            except (WorkerLost, codec.CodecError) as error:
                ours.close()
                processor.release()
                if isinstance(error, WorkerLost):
                    raise
                raise CandidateFailure(Status.COMPILE_ERROR, f"the source is too long: {error}") from None
        self._current = ForkedCandidate(self._worker, ours, limits, cpu_seconds, processor)
        self._current.load()
        return self._current
