"""The confined worker: warm, never runs a candidate itself, forks a child for each.

On its control socket, which is its standard input, come settings, then jobs (source, limits, and one end of a socket
for the calls), and after each job's one word, END or KILL, goes a report on the child. The child for the next job is
forked before there is one, while the engine does something else, and takes it from the socket itself. Knows nothing of
the calls. Runs in a process of its own, started by `launch`; the rest of funsearch is not there.
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
"""How a job ends: with time for last words, or at once."""
PATIENCE_SECONDS = 0.2
"""How long a child that is to end may take for it."""
CHECK_SECONDS = 1.0
"""How often the worker looks whether the engine is still there, should its socket not say so."""
TICK_SECONDS = 0.02
"""How often it looks for the child's end where the kernel cannot tell."""
READ_BYTES = 65536
OPEN_FILES = 32
RESERVE_BYTES = 2**20
"""What a child that is out of memory lets go of, so that this can still be said."""
STACK_BYTES = 8 * 2**20
ANY_CPU = -1
PROCESS_CLOCK = 2
"""The kernel's CPUCLOCK_SCHED, which with a process id makes the clock of its processor time."""
TAKEN = struct.Struct("<Q")
"""What a child says to the worker when it has its job: how much output it may write."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to confine."""

    path: list[str]
    """The engine's `sys.path`, to load from."""
    preload: list[str]
    import_path: list[str]
    """What `sys.path` is for candidates."""
    confined: bool
    landlock: bool
    listable: list[str]
    readable: list[str]
    threads: bool
    """Whether candidates may start threads."""
    uid: int
    """Who to be instead of root."""


class Job(NamedTuple):
    """One candidate and its limits."""

    source: str
    memory_bytes: int
    cpu_seconds: int
    output_bytes: int
    cpu: int
    """The processor to run on: the engine's, because a call between two that share one costs half; or ANY_CPU."""


class Report(NamedTuple):
    """How a child ended."""

    exit: int
    """Exit status, or the signal's number negated."""
    output: str
    too_much_output: bool
    cpu_seconds: float


def work(control: socket.socket, settings: Settings) -> NoReturn:
    """Loads, confines and runs the worker, until the other end of its control socket is closed."""
    _load(settings)
    null = os.open(os.devnull, os.O_RDONLY)
    worker = Worker(control, null, _confine(settings))
    gc.collect()
    gc.freeze()
    gc.disable()  # on again in each child
    control.sendall(READY)
    worker.run_jobs()


class NextChild(NamedTuple):
    """A child that waits for its job."""

    pid: int
    output: int
    """Where what it prints can be read."""
    taken: int
    """Where it says that it has a job."""


class Worker:
    """Runs jobs, one at a time."""

    def __init__(self, control: socket.socket, null: int, entrance: "ChildEntrance") -> None:
        self._control = control
        self._null = null
        self._entrance = entrance
        self._pid = os.getpid()
        self._engine = os.getppid()
        # Each child inherits it unused, which costs nothing.
        self._reserve = [np.empty(RESERVE_BYTES, np.uint8)]

    def run_jobs(self) -> NoReturn:
        """Runs what comes, for ever."""
        while True:
            waiting = self._fork()
            output_bytes = self._await_taken(waiting.taken)
            watch = Watch(self, waiting.pid, waiting.output, self._control, output_bytes)
            report = codec.encode(tuple(watch.follow()))
            self._control.sendall(LENGTH.pack(len(report)) + report)
            watch.close()

    def check_engine(self) -> None:
        """Ends the worker when the engine is gone."""
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
        """Returns how much output the child may write, once it has taken a job.

        It ends without one when the engine has closed the socket. Should it have another reason, half of a job may be
        read, and the engine needs a new worker.
        """
        poll = select.poll()
        poll.register(taken, select.POLLIN)
        while not poll.poll(CHECK_SECONDS * 1000):
            self.check_engine()
        said = os.read(taken, TAKEN.size)
        os.close(taken)
        if len(said) < TAKEN.size:
            os._exit(0)
        output_bytes: int = TAKEN.unpack(said)[0]
        return output_bytes

    def _become_candidate(self, output: int, taken: int) -> NoReturn:
        try:
            self._entrance.leave_session()
            if os.getppid() != self._pid:
                os._exit(0)
            child.rehearse()
            job, calls = self._take_job()
        except BaseException:
            os._exit(1)  # the worker sees that it has taken no job
        try:
            os.write(taken, TAKEN.pack(job.output_bytes))
            self._control.detach()  # its number becomes that of the null device
            for source, target in ((self._null, 0), (output, 1), (output, 2), (calls, child.CALLS)):
                os.dup2(source, target)
            self._entrance.confine(job)
            gc.enable()
        except BaseException as error:  # nobody above would hear of it
            child.say(calls, child.FAILED, f"INFRA:the candidate's process cannot be set up: {error!r}".encode())
            os._exit(1)
        child.serve(job.source, self._reserve)

    def _take_job(self) -> tuple[Job, int]:
        """Returns the next job and the candidate's end of its calls; ends the process when none will come."""
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
    """Follows one child until the engine has said its one word and the child is dead, or has nothing more to say."""

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
        """Whether it has closed its output."""
        self._ended: tuple[int, float] | None = None
        self._told = False
        self._deadline: float | None = None

    def follow(self) -> Report:
        """Returns how the child ended, or will.

        One that was told to end, and has closed its output, can add nothing. That it is dead is not waited for: to take
        a process apart takes the kernel longer than all the rest. `close` sees to it, before there is another.
        """
        while not self._told or (self._ended is None and not self._parting()):
            ready = dict(self._poll.poll(self._timeout() * 1000))
            if not ready:
                self._worker.check_engine()
            if self._deadline is not None and time.monotonic() > self._deadline:
                self._kill()
            if self._output in ready:
                self._read_output()
            elif self._pidfd in ready or self._pidfd < 0:  # only when all its output has been read
                self._reap()
            if self._control.fileno() in ready:
                self._listen()
        status, cpu = self._ended or (0, self._cpu_seconds())
        output = bytes(self._written[: self._cap]).decode("utf-8", "replace")
        return Report(os.waitstatus_to_exitcode(status), output, len(self._written) > self._cap, cpu)

    def close(self) -> None:
        """Sees the child dead, and closes what belonged to it."""
        if self._ended is None:
            with contextlib.suppress(OSError):  # let it be taken apart where there is room, not where the engine works
                os.sched_setaffinity(self._pid, os.sched_getaffinity(0))
            self._kill()
            os.wait4(self._pid, 0)
        os.close(self._output)
        if self._pidfd >= 0:
            os.close(self._pidfd)

    def _parting(self) -> bool:
        """Returns whether it was told to end, not killed, and has closed its output."""
        return self._closed and self._deadline is not None and self._pidfd >= 0

    def _cpu_seconds(self) -> float:
        """Returns the processor time of a process that has not been waited for."""
        return time.clock_gettime(~self._pid << 3 | PROCESS_CLOCK)

    def _timeout(self) -> float:
        if self._ended is None and self._pidfd < 0:
            return TICK_SECONDS
        return PATIENCE_SECONDS if self._deadline is not None else CHECK_SECONDS

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
            self._kill()  # what else is in its group, while the number is still its own
        pid, status, usage = os.wait4(self._pid, 0 if self._pidfd >= 0 else os.WNOHANG)
        if pid:
            self._ended = status, usage.ru_utime + usage.ru_stime
            if self._pidfd >= 0:
                self._poll.unregister(self._pidfd)

    def _listen(self) -> None:
        word = self._control.recv(1)
        self._told = True
        self._poll.unregister(self._control.fileno())
        if word == END:
            self._deadline = time.monotonic() + PATIENCE_SECONDS
        else:
            self._kill()
        if not word:
            os._exit(0)

    def _kill(self) -> None:
        if self._ended is not None:
            return
        for kill in (os.killpg, os.kill):  # it may not lead a group of its own yet
            try:
                kill(self._pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue


def _load(settings: Settings) -> None:
    """Imports what candidates may, then forgets where everything else is."""
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
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what is printed outlives a kill


def _confine(settings: Settings) -> "ChildEntrance":
    """Confines this process, and so its children; returns what a child has to do besides."""
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
        return ChildEntrance(mapped, None)
    if os.getuid() == 0:
        try:
            lowlevel.drop_to(settings.uid)
        except OSError:
            pass  # root of a container without that user or that right; it loses all capabilities all the same
    lowlevel.no_new_privileges()
    lowlevel.drop_capabilities()
    if settings.landlock:
        lowlevel.landlock(settings.listable, settings.readable)
    lowlevel.SeccompFilter(seccomp.worker_filter(arch, files=settings.landlock)).load()
    return ChildEntrance(mapped, lowlevel.SeccompFilter(seccomp.candidate_filter(arch, threads=settings.threads)))


class ChildEntrance:
    """What a fresh child does before it loads its candidate; all that can be is worked out before the fork."""

    def __init__(self, mapped: int, inner: lowlevel.SeccompFilter | None) -> None:
        self._mapped = mapped
        self._inner = inner
        self._most_memory = _highest(resource.RLIMIT_AS)
        self._most_cpu = _highest(resource.RLIMIT_CPU)
        self._on_linux = syscalls.architecture() is not None

    def leave_session(self) -> None:
        """Makes this process the first of a session that ends with it, and have it end with its parent."""
        os.setsid()
        if self._on_linux:
            lowlevel.die_with_parent()

    def confine(self, job: Job) -> None:
        """Puts one job's limits on this process, and the stricter filter."""
        os.closerange(child.CALLS + 1, OPEN_FILES)
        if job.cpu != ANY_CPU:
            with contextlib.suppress(OSError):  # only speed is lost
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
    """Returns the address space of this process, 0 where the system has no way to say.

    Raises:
        OSError: the system has, and does not say; there could be no limit of memory.
    """
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
