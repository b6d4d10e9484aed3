"""The sandbox of the engine: one warm worker, and each candidate in a fresh fork of it.

Knows nothing about what the levels of confinement can promise; see `levels`.
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
"""Wall-clock limits of one input that a candidate may use of processor time over all of them, if nothing else is said.
"""


class ForkSandbox:
    """Runs candidates at one level of confinement. Used by one thread, in the process that made it."""

    def __init__(self, level: Level) -> None:
        """Starts the worker.

        Raises:
            SandboxError: it does not start at this level.
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
        """Returns the worker's process id, None when it is not running."""
        return self._worker.pid if self._worker else None

    def start(self, source: str, limits: Limits) -> ForkedCandidate:
        if self._closed or os.getpid() != self._owner:
            raise SandboxError("This sandbox is closed, or belongs to another process: open one where it is used.")
        self._end_current()
        try:
            return self._load(source, limits)
        except WorkerLost:
            self._worker = None
        try:
            return self._load(source, limits)
        except WorkerLost as error:
            self._worker = None
            raise SandboxError(f"The sandbox's worker died and, started again, died again ({error}).") from None

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
                self._worker.hand_out(job, theirs)
            except (WorkerLost, codec.CodecError) as error:
                ours.close()
                processor.release()
                if isinstance(error, WorkerLost):
                    raise
                raise CandidateFailure(Status.COMPILE_ERROR, f"the source is too long: {error}") from None
        self._current = ForkedCandidate(self._worker, ours, limits, cpu_seconds, processor)
        self._current.load()
        return self._current
