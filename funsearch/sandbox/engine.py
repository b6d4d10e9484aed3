"""The trusted side of the sandbox: starts the worker, hands it candidates, calls them, and says how each ended.

Knows nothing about scores. Nothing that comes from a candidate's process is believed but that it failed; what it
returns is plain data for the problem's evaluator to check.
"""

import contextlib
import itertools
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from funsearch.core.ports import CandidateFailure, ProcessReport
from funsearch.core.records import Limits, Status
from funsearch.errors import SandboxError
from funsearch.sandbox import codec

PRELOADED = [
    "numpy",
    "numpy.linalg",
    "numpy.fft",
    "numpy.random",
    "numpy.ma",
    "math",
    "cmath",
    "itertools",
    "functools",
    "collections",
    "heapq",
    "random",
    "bisect",
    "operator",
    "re",
    "string",
    "fractions",
    "decimal",
    "statistics",
    "dataclasses",
    "typing",
    "enum",
    "copy",
    "abc",
    "contextlib",
    "numbers",
    "datetime",
    "traceback",
    "linecache",
    "textwrap",
    "warnings",
    "array",
    "types",
    "json",
    "numpy.polynomial",
]
"""What candidates may import, whatever the level; at L1 nothing else can be."""
UNPRIVILEGED_UID = 64999
START_SECONDS = 30.0
REPORT_SECONDS = 10.0
"""How long the worker may take to report once its child should be dead."""
CPU_FACTOR = 20
"""Processor time that a candidate may use over all inputs, in wall-clock limits of one input."""

_LENGTH = struct.Struct("<I")
_OWN_WORDS = {Status.COMPILE_ERROR, Status.RUNTIME_ERROR, Status.MEMORY, Status.EARLY_EXIT, Status.PROTOCOL}
"""What a candidate's process is believed to say of itself: none of it is to its advantage."""


@dataclass(frozen=True, slots=True)
class _Level:
    confined: bool
    landlock: bool


LEVELS = {"L2": _Level(True, True), "L1": _Level(True, False), "none": _Level(False, False)}


class ForkSandbox:
    """One worker; each candidate runs in a fresh fork of it."""

    def __init__(self, level: str) -> None:
        """Starts the worker.

        Raises:
            SandboxError: it does not start at this level.
        """
        self._level = level
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._start_worker()

    @property
    def level(self) -> str:
        return self._level

    @property
    def worker_pid(self) -> int | None:
        """Returns the worker's process id, None when it is not running."""
        return self._process.pid if self._process else None

    def start(self, source: str, limits: Limits) -> "ForkedCandidate":
        try:
            return self._start(source, limits)
        except CandidateFailure as failure:
            if failure.status is not Status.INFRA:
                raise
        # A worker that died since the last candidate may show it only now; the next one is fresh.
        return self._start(source, limits)

    def _start(self, source: str, limits: Limits) -> "ForkedCandidate":
        ours, theirs = socket.socketpair()
        job = codec.encode(
            {
                "source": source,
                "memory": limits.memory_mb * 2**20,
                "cpu": math.ceil(limits.seconds * CPU_FACTOR) + 1,
                "output": limits.output_bytes,
            }
        )
        try:
            self._send(job, theirs)
        finally:
            theirs.close()
        candidate = ForkedCandidate(self, ours, limits)
        try:
            candidate.receive()
        except CandidateFailure:
            candidate.close()
            raise
        return candidate

    def report(self, *, kill: bool) -> dict[str, Any]:
        """Ends the present job, at once or with time for last words, and returns the worker's report on its child."""
        assert self._control is not None
        try:
            self._control.sendall(b"K" if kill else b"E")
            self._control.settimeout(REPORT_SECONDS)
            (size,) = _LENGTH.unpack(self._read(_LENGTH.size))
            report = codec.decode(self._read(size))
        except (OSError, EOFError, codec.CodecError):
            self.close()  # a worker that does not answer is replaced at the next candidate
            return {"exit": -signal.SIGKILL, "too_much": False, "output": "", "cpu": 0.0, "seconds": 0.0, "lost": True}
        assert isinstance(report, dict)
        return report

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(1.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _send(self, job: bytes, calls: socket.socket) -> None:
        for last_try in (False, True):
            if self._control is None:
                self._start_worker()
            assert self._control is not None
            try:
                self._control.settimeout(REPORT_SECONDS)
                socket.send_fds(self._control, [_LENGTH.pack(len(job))], [calls.fileno()])
                self._control.sendall(job)
                return
            except OSError as error:
                self.close()
                if last_try:
                    raise SandboxError(f"The sandbox's worker died and could not be started again: {error}.") from None

    def _start_worker(self) -> None:
        ours, theirs = socket.socketpair()
        level = LEVELS[self._level]
        config = {
            "path": [entry for entry in sys.path if entry],
            "preload": PRELOADED,
            "confined": level.confined,
            "landlock": level.landlock,
            "readable": readable_paths(),
            "uid": UNPRIVILEGED_UID,
        }
        worker = str(Path(__file__).with_name("worker.py"))
        command = [sys.executable, "-s", "-P", "-B", worker, str(theirs.fileno()), json.dumps(config)]
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
        environment |= {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        self._control = ours
        ours.settimeout(START_SECONDS)
        try:
            ready = self._read(len(b"READY"))
        except (OSError, EOFError):
            ready = b""
        stderr = self._process.stderr
        assert stderr is not None
        if ready != b"READY":
            self._process.kill()
            said = (stderr.read().decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
            stderr.close()
            self.close()
            raise SandboxError(f"The sandbox's worker does not start at level {self._level}: {said}")
        stderr.close()

    def _read(self, count: int) -> bytes:
        assert self._control is not None
        data = b""
        while len(data) < count:
            part = self._control.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data


class ForkedCandidate:
    """One candidate in its child process."""

    def __init__(self, sandbox: ForkSandbox, calls: socket.socket, limits: Limits) -> None:
        self._sandbox = sandbox
        self._calls = calls
        self._limits = limits
        self._failure: CandidateFailure | None = None
        self._report: ProcessReport | None = None
        self._started = time.monotonic()
        self._deadline = self._started + limits.seconds

    def begin_input(self) -> None:
        self._deadline = time.monotonic() + self._limits.seconds

    def call(self, function: str, args: Sequence[Any]) -> Any:
        if self._failure is not None:
            raise self._failure
        try:
            request = codec.encode([function, list(args)])
        except codec.CodecError as error:
            raise TypeError(f"an argument of {function} does not cross to the candidate: {error}") from None
        try:
            self._calls.settimeout(max(self._deadline - time.monotonic(), 1e-3))
            self._calls.sendall(_LENGTH.pack(len(request)) + request)
        except TimeoutError:
            raise self._fail(Status.TIMEOUT, self._limit_text()) from None
        except OSError:
            pass  # it is gone; what it said last, or how it ended, is still to be read
        payload = self.receive()
        try:
            return codec.decode(payload)
        except codec.CodecError as error:
            raise self._fail(Status.PROTOCOL, str(error)) from None

    def receive(self) -> bytes:
        """Returns the payload of the candidate's next answer."""
        data = b""
        size = -1
        while size < 0 or len(data) < size + _LENGTH.size:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise self._fail(Status.TIMEOUT, self._limit_text())
            self._calls.settimeout(left)
            try:
                part = self._calls.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                part = b""
            if not part:
                raise self._died()
            data = data + part if data else part
            if size < 0 and len(data) >= _LENGTH.size:
                (size,) = _LENGTH.unpack_from(data)
                if size > codec.MAX_BYTES + 1:
                    raise self._fail(Status.PROTOCOL, f"an answer of {size} bytes")
        answer = data[_LENGTH.size : size + _LENGTH.size]
        if len(data) > size + _LENGTH.size:
            raise self._fail(Status.PROTOCOL, "more than one answer to a call")
        if answer[:1] == b"R":
            return answer[1:]
        raise self._own_failure(answer)

    def close(self) -> ProcessReport:
        if self._report is None:
            self._end(kill=False)
        assert self._report is not None
        return self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _end(self, *, kill: bool) -> dict[str, Any]:
        """Ends the child, and takes the worker's report."""
        with contextlib.suppress(OSError):
            self._calls.shutdown(socket.SHUT_RDWR)
        self._calls.close()
        report = self._sandbox.report(kill=kill)
        self._report = ProcessReport(
            report["output"], time.monotonic() - self._started, report["cpu"], report["too_much"]
        )
        return report

    def _limit_text(self) -> str:
        return f"longer than {self._limits.seconds:g} s"

    def _fail(self, status: Status, detail: str) -> CandidateFailure:
        self._failure = CandidateFailure(status, detail)
        report = self._end(kill=status is not Status.RUNTIME_ERROR)
        if report["too_much"] and status is not Status.TIMEOUT:
            self._failure = CandidateFailure(Status.OUTPUT_LIMIT, f"more than {self._limits.output_bytes} bytes")
        return self._failure

    def _own_failure(self, answer: bytes) -> CandidateFailure:
        """Returns the failure that a candidate's process reports of itself."""
        word, _, detail = answer[1:].decode("utf-8", "replace").partition(":")
        if answer[:1] == b"E" and word in _OWN_WORDS:
            return self._fail(Status(word), detail)
        if answer[:1] == b"E" and word == Status.INFRA:
            return self._fail(Status.INFRA, detail)
        return self._fail(Status.PROTOCOL, f"a malformed answer: {answer[:40]!r}")

    def _died(self) -> CandidateFailure:
        """Returns why a process that closed its end is gone."""
        report = self._end(kill=True)
        code = report["exit"]
        if report.get("lost"):
            status, detail = Status.INFRA, "the worker was lost"
        elif report["too_much"]:
            status, detail = Status.OUTPUT_LIMIT, f"more than {self._limits.output_bytes} bytes"
        elif code == -signal.SIGSYS:
            status, detail = Status.VIOLATION, "a forbidden system call"
        elif code == -signal.SIGXCPU:
            status, detail = Status.CPU_LIMIT, f"{report['cpu']:.1f} s of processor time"
        elif code < 0:
            status, detail = Status.CRASH, f"signal {signal.Signals(-code).name}"
        else:
            status, detail = Status.EARLY_EXIT, f"exit status {code}"
        self._failure = CandidateFailure(status, detail)
        return self._failure


def readable_paths() -> list[str]:
    """Returns what candidates may read beneath landlock: the standard library and numpy, so that late imports work."""
    numpy = Path(np.__file__).parent
    stdlib = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    system = [path for path in ("/usr/lib", "/lib", "/lib64") if os.path.isdir(path)]
    libraries = [str(numpy), str(numpy.with_name("numpy.libs"))]
    return list(itertools.chain(sorted(stdlib), libraries, system, ["/dev/null", "/dev/urandom"]))
