"""The confined worker: a warm process that never runs candidates itself, but forks a child for each.

Its standard input is the control socket. There it receives settings, then jobs (source, limits, and one end of a socket
for calls); when the engine ends a job with END or KILL, the worker sends a report on the child. The child for the next
job is forked in advance, while the engine is busy, and receives the job itself. Knows nothing about the calls. Runs in
a separate process, started by `launch`, which has no other part of funsearch.
"""

import contextlib
import gc
import importlib
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np

from funsearch.sandbox import child, codec, lowlevel, seccomp, syscalls

LENGTH = struct.Struct("<I")
READY = b"READY"
END, KILL = b"E", b"K"
"""How a job ends: with time to exit, or immediately."""
EXIT_SECONDS = 0.2
"""Time that a child has to exit after END."""
CHECK_SECONDS = 1.0
"""Interval between checks that the engine still exists, in case its socket does not show it."""
TICK_SECONDS = 0.02
"""Interval between checks for the end of the child, where the kernel has no pidfd."""
READ_BYTES = 65536
OPEN_FILES = 32
RESERVE_BYTES = 2**20
"""Memory that a child frees when it runs out of memory, so that it can report this."""
STACK_BYTES = 8 * 2**20
ANY_CPU = -1
PROCESS_CLOCK = 2
"""The kernel's CPUCLOCK_SCHED, which combined with a process id denotes the clock of its processor time."""
TAKEN = struct.Struct("<Q")
"""Message from a child to the worker when it has received its job: how much output it may write."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How candidates are confined."""

    path: list[str]
    """The engine's `sys.path`, to load modules from."""
    preload: list[str]
    import_path: list[str]
    """`sys.path` of candidates."""
    confined: bool
    landlock: bool
    listable: list[str]
    readable: list[str]
    threads: bool
    """Whether candidates may start threads."""
    uid: int
    """User id to run as instead of root."""


class Job(NamedTuple):
    """A candidate and its limits."""

    source: str
    memory_bytes: int
    cpu_seconds: int
    output_bytes: int
    cpu: int
    """Processor to run on: the engine's, because calls then cost half; or ANY_CPU."""


class Report(NamedTuple):
    """How a child ended."""

    exit: int
    """Exit status, or the signal's number negated."""
    output: str
    too_much_output: bool
    cpu_seconds: float


def work(control: socket.socket, settings: Settings) -> NoReturn:
    """Loads modules, confines the process and runs jobs, until the engine closes the control socket."""
    _load(settings)
    null = os.open(os.devnull, os.O_RDONLY)
    worker = Worker(control, null, _confine(settings))
    gc.collect()
    gc.freeze()
    gc.disable()  # Enabled again in each child.
    control.sendall(READY)
    worker.run_jobs()


class NextChild(NamedTuple):
    """A child that waits for its job."""

    pid: int
    output: int
    """Pipe to read its output from."""
    taken: int
    """Pipe on which it announces that it has received a job."""


class Worker:
    """Runs jobs, one at a time."""

    def __init__(self, control: socket.socket, null: int, setup: "ChildSetup") -> None:
        self._control = control
        self._null = null
        self._setup = setup
        self._pid = os.getpid()
        self._engine = os.getppid()
        # Each child inherits it unused, at no cost.
        self._reserve: list[object] = [np.empty(RESERVE_BYTES, np.uint8)]

    def run_jobs(self) -> NoReturn:
        """Runs jobs until the engine closes the control socket."""
        while True:
            waiting = self._fork()
            output_bytes = self._await_taken(waiting.taken)
            watch = Watch(self, waiting.pid, waiting.output, self._control, output_bytes)
            report = codec.encode(tuple(watch.follow()))
            self._control.sendall(LENGTH.pack(len(report)) + report)
            watch.close()

    def check_engine(self) -> None:
        """Ends the worker if the engine is gone."""
        if os.getppid() != self._engine:
            os._exit(0)

    def _fork(self) -> NextChild:
        output, child_output = os.pipe()
        taken, child_taken = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_candidate(child_output, child_taken)
        os.close(child_output)
        os.close(child_taken)
        return NextChild(pid, output, taken)

    def _await_taken(self, taken: int) -> int:
        """Waits until the child has received a job, and returns how much output it may write.

        If the child ends without a job, the worker ends: the engine has closed the socket, or a job may have been read
        only in part, so that the engine needs a new worker.
        """
        poll = select.poll()
        poll.register(taken, select.POLLIN)
        while not poll.poll(CHECK_SECONDS * 1000):
            self.check_engine()
        message = os.read(taken, TAKEN.size)
        os.close(taken)
        if len(message) < TAKEN.size:
            os._exit(0)
        output_bytes: int = TAKEN.unpack(message)[0]
        return output_bytes

    def _become_candidate(self, output: int, taken: int) -> NoReturn:
        try:
            self._setup.leave_session()
            if os.getppid() != self._pid:
                os._exit(0)
            child.rehearse()
            job, calls = self._take_job()
        except BaseException:
            os._exit(1)  # The worker sees that the child has not received a job.
        try:
            os.write(taken, TAKEN.pack(job.output_bytes))
            self._control.detach()  # Its number becomes that of the null device.
            for source, target in ((self._null, 0), (output, 1), (output, 2), (calls, child.CALLS)):
                os.dup2(source, target)
            self._setup.confine(job)
            gc.enable()
        except BaseException as error:  # No caller would report it.
            child.say(calls, child.FAILED, f"INFRA:the candidate's process cannot be set up: {error!r}".encode())
            os._exit(1)
        child.serve(job.source, self._reserve)

    def _take_job(self) -> tuple[Job, int]:
        """Receives the next job and the candidate's end of its socket; exits if the control socket is closed."""
        header, descriptors, _, _ = socket.recv_fds(self._control, LENGTH.size, 1)
        (size,) = LENGTH.unpack(header + self._read(LENGTH.size - len(header)))
        return Job(*codec.decode(self._read(size))), descriptors[0]

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._control.recv(count - len(data))
            if not part:
                os._exit(0)
            data += part
        return bytes(data)


class Watch:
    """Watches a child until the engine ends its job and the child is dead or has closed its output."""

    def __init__(self, worker: Worker, pid: int, output: int, control: socket.socket, cap: int) -> None:
        self._worker = worker
        self._pid = pid
        self._output = output
        self._control = control
        self._cap = cap
        self._pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        self._poll = select.poll()
        for fd in (output, control.fileno(), *([self._pidfd] if self._pidfd >= 0 else [])):
            self._poll.register(fd, select.POLLIN)
        self._written = bytearray()
        self._closed = False
        """Whether the child has closed its output."""
        self._ended: tuple[int, float] | None = None
        """Wait status and processor time of the child, once it is dead."""
        self._job_ended = False
        """Whether the engine has ended the job."""
        self._deadline: float | None = None

    def follow(self) -> Report:
        """Waits for the end of the job and returns the report on the child.

        When the job was ended with END and the child has closed its output, its death is not awaited: for the kernel to
        free a process takes longer than everything else. `close` makes sure of it, before the next child runs a job.
        """
        while not self._job_ended or (self._ended is None and not self._exiting()):
            ready = dict(self._poll.poll(self._timeout() * 1000))
            if not ready:
                self._worker.check_engine()
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._kill()
            if self._output in ready:
                self._read_output()
            elif self._pidfd in ready or self._pidfd < 0:  # Only after all of its output has been read.
                self._reap()
            if self._control.fileno() in ready:
                self._end_job()
        status, cpu = self._ended or (0, self._cpu_seconds())
        output = bytes(self._written[: self._cap]).decode("utf-8", "replace")
        return Report(os.waitstatus_to_exitcode(status), output, len(self._written) > self._cap, cpu)

    def close(self) -> None:
        """Kills the child if it is alive, and closes its file descriptors."""
        if self._ended is None:
            with contextlib.suppress(OSError):  # So that its memory is not freed on the engine's processor.
                os.sched_setaffinity(self._pid, os.sched_getaffinity(0))
            self._kill()
            os.wait4(self._pid, 0)
        os.close(self._output)
        if self._pidfd >= 0:
            os.close(self._pidfd)

    def _exiting(self) -> bool:
        """Returns whether the job was ended with END, and the child has closed its output."""
        return self._closed and self._deadline is not None and self._pidfd >= 0

    def _cpu_seconds(self) -> float:
        """Returns the processor time of a process that has not been waited for."""
        return time.clock_gettime(~self._pid << 3 | PROCESS_CLOCK)

    def _timeout(self) -> float:
        if self._ended is None and self._pidfd < 0:
            return TICK_SECONDS
        return EXIT_SECONDS if self._deadline is not None else CHECK_SECONDS

    def _read_output(self) -> None:
        part = os.read(self._output, READ_BYTES)
        self._written += part
        if len(self._written) > self._cap:
            self._kill()
        self._closed = not part
        if self._closed or len(self._written) > self._cap:
            self._poll.unregister(self._output)

    def _reap(self) -> None:
        if self._ended is None and self._pidfd >= 0:
            self._kill()  # Kills the rest of its process group, while its id is not reused.
        pid, status, usage = os.wait4(self._pid, 0 if self._pidfd >= 0 else os.WNOHANG)
        if pid:
            self._ended = status, usage.ru_utime + usage.ru_stime
            if self._pidfd >= 0:
                self._poll.unregister(self._pidfd)

    def _end_job(self) -> None:
        command = self._control.recv(1)
        self._job_ended = True
        self._poll.unregister(self._control.fileno())
        if command == END:
            self._deadline = time.monotonic() + EXIT_SECONDS
        else:
            self._kill()
        if not command:
            os._exit(0)

    def _kill(self) -> None:
        if self._ended is not None:
            return
        for kill in (os.killpg, os.kill):  # It may not have its own process group yet.
            try:
                kill(self._pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue


def _load(settings: Settings) -> None:
    """Imports the modules that candidates may import, then removes the paths of all others."""
    sys.path[:] = settings.path
    for name in settings.preload:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "funsearch"]:
        del sys.modules[name]
    sys.path[:] = settings.import_path
    sys.argv[:] = [""]
    os.environ.clear()
    random.seed(0)
    np.random.seed(0)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # Output is not lost when killed.


def _confine(settings: Settings) -> "ChildSetup":
    """Confines this process, and so its children; returns the additional set-up of a child."""
    mapped = _mapped_bytes()
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_STACK, STACK_BYTES),
    ):
        value = min(value, _highest(limit))
        resource.setrlimit(limit, (value, value))
    arch = syscalls.architecture()
    if not settings.confined or arch is None:
        return ChildSetup(mapped, None)
    if os.getuid() == 0:
        try:
            lowlevel.drop_to(settings.uid)
        except OSError:
            pass  # Root of a container without this user or right; all capabilities are dropped anyway.
    lowlevel.no_new_privileges()
    lowlevel.drop_capabilities()
    if settings.landlock:
        lowlevel.landlock(settings.listable, settings.readable)
    lowlevel.SeccompFilter(seccomp.worker_filter(arch, files=settings.landlock)).load()
    return ChildSetup(mapped, lowlevel.SeccompFilter(seccomp.candidate_filter(arch, threads=settings.threads)))


class ChildSetup:
    """Set-up of a new child before it loads its candidate; prepared as far as possible before the fork."""

    def __init__(self, mapped: int, inner: lowlevel.SeccompFilter | None) -> None:
        self._mapped = mapped
        self._inner = inner
        self._most_memory = _highest(resource.RLIMIT_AS)
        self._most_cpu = _highest(resource.RLIMIT_CPU)
        self._on_linux = syscalls.architecture() is not None

    def leave_session(self) -> None:
        """Makes this process the leader of a new session, and has the kernel kill it when its parent ends."""
        os.setsid()
        if self._on_linux:
            lowlevel.die_with_parent()

    def confine(self, job: Job) -> None:
        """Applies the limits of a job and the stricter system-call filter to this process."""
        os.closerange(child.CALLS + 1, OPEN_FILES)
        if job.cpu != ANY_CPU:
            with contextlib.suppress(OSError):  # Only speed is lost.
                os.sched_setaffinity(0, {job.cpu})
        if self._mapped:
            memory = min(self._mapped + job.memory_bytes, self._most_memory)
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        hard = min(job.cpu_seconds + 1, self._most_cpu)
        resource.setrlimit(resource.RLIMIT_CPU, (min(job.cpu_seconds, hard), hard))
        if self._inner is not None:
            self._inner.load()


def _highest(limit: int) -> int:
    hard = resource.getrlimit(limit)[1]
    return sys.maxsize if hard == resource.RLIM_INFINITY else hard


def _mapped_bytes() -> int:
    """Returns the size of the address space of this process, or 0 on systems other than Linux.

    Raises:
        OSError: the size cannot be read, so that memory could not be limited.
    """
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
