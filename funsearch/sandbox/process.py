"""The worker's process from the engine's side: starts it, sends jobs, receives reports and ends it.

Knows nothing about the calls to candidates and their results.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path

from funsearch.errors import SandboxError
from funsearch.sandbox import codec, namespaces, preload
from funsearch.sandbox.worker import END, KILL, LENGTH, READ_BYTES, READY, Job, Report, Settings

UNPRIVILEGED_UID = 64999
START_SECONDS = 60.0
REPORT_SECONDS = 10.0
"""Timeout of the worker's messages, including the report on a child."""
CLOSE_SECONDS = 2.0
"""Time that the worker has to exit after its control socket was closed."""


@dataclass(frozen=True, slots=True)
class Level:
    """A level of confinement and the mechanisms it uses."""

    name: str
    confined: bool = True
    landlock: bool = True
    namespaces: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the worker that depend on the problem's limits."""

    threads: int = 1
    modules: tuple[str, ...] = ()


class WorkerLost(Exception):
    """Raised when the worker has died or does not respond."""


class WorkerProcess:
    """A running worker."""

    def __init__(self, level: Level, policy: Policy) -> None:
        """Starts the worker.

        Raises:
            SandboxError: the worker does not start at this level, or cannot import a module.
        """
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*(namespaces.command() if level.namespaces else []), *_command()],
                env=_environment(policy.threads),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                start_new_session=True,  # So that Ctrl-C interrupts only the engine.
            )
        self.close = weakref.finalize(self, _end, self._process, self._control, os.getpid())
        self._await_start(level, policy)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send_job(self, job: Job, calls: socket.socket) -> None:
        """Sends a job to the worker, with the candidate's end of the socket for calls.

        Raises:
            WorkerLost: the worker is dead.
        """
        data = codec.encode(tuple(job))
        if self._process.poll() is not None:
            raise self._lost(EOFError("the worker has ended"))
        try:
            frame = memoryview(LENGTH.pack(len(data)) + data)
            sent = socket.send_fds(self._control, [frame], [calls.fileno()])
            self._control.sendall(frame[sent:])
        except OSError as error:
            raise self._lost(error) from None

    def report(self, *, kill: bool) -> Report:
        """Ends the current job, immediately or with time to exit, and returns the report on its child.

        Raises:
            WorkerLost: the worker has died or does not respond.
        """
        try:
            self._control.sendall(KILL if kill else END)
            frame = self._read(LENGTH.size)
            (size,) = LENGTH.unpack_from(frame)
            return Report(*codec.decode(self._read(LENGTH.size + size, frame)[LENGTH.size :]))
        except (OSError, EOFError, codec.CodecError, TypeError, struct.error) as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> WorkerLost:
        _kill(self._process)
        self.close()
        return WorkerLost(f"{type(error).__name__}: {error}")

    def _await_start(self, level: Level, policy: Policy) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        with stderr:
            try:
                self._control.settimeout(START_SECONDS)
                self._control.sendall(json.dumps(asdict(_settings(level, policy))).encode() + b"\n")
                if self._read(len(READY)) == READY:
                    self._control.settimeout(REPORT_SECONDS)
                    return
            except (OSError, EOFError):
                pass
            _kill(self._process)
            lines = stderr.read().decode("utf-8", "replace").strip().splitlines() or ["no error message"]
        self.close()
        raise SandboxError(f"The sandbox's worker does not start at level {level.name}: {lines[-1]}")

    def _read(self, count: int, data: bytes = b"") -> bytes:
        """Returns `data` and the bytes received after it, at least `count` in total."""
        while len(data) < count:
            part = self._control.recv(READ_BYTES)
            if not part:
                raise EOFError("the worker closed its socket")
            data += part
        return data


def _settings(level: Level, policy: Policy) -> Settings:
    return Settings(
        path=[os.path.abspath(entry) for entry in sys.path if entry],
        preload=[*preload.PRELOADED, *policy.modules],
        import_path=preload.library_folders(),
        confined=level.confined,
        landlock=level.landlock,
        listable=preload.library_folders(),
        readable=preload.readable_paths(policy.modules) if level.landlock else [],
        threads=policy.threads > 1,
        uid=UNPRIVILEGED_UID,
    )


def _command() -> list[str]:
    launcher = str(Path(__file__).with_name("launch.py"))
    # Not -I: it would ignore PYTHONHASHSEED, and the scores of honest programs would depend on the worker.
    return [sys.executable, "-s", "-P", "-B", launcher]


def _environment(threads: int) -> dict[str, str]:
    """Returns the worker's environment: only what it needs, no secrets, and nothing that affects scores."""
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    environment |= {f"{name}_NUM_THREADS": str(threads) for name in ("OPENBLAS", "OMP", "MKL")}
    if "LD_LIBRARY_PATH" in os.environ:  # The interpreter itself may need it.
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment


def _end(process: "subprocess.Popen[bytes]", control: socket.socket, owner: int) -> None:
    """Ends a worker by closing its socket; kills it if it does not exit in time."""
    control.close()
    if os.getpid() != owner:
        return  # This is a fork of the engine, and the worker is not its child.
    try:
        process.wait(CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        _kill(process)
        process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kills the worker with its whole session, because bubblewrap may have started it in another process."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
