"""One candidate as the engine sees it: called over a socket, timed, and given a status when it fails.

Knows nothing about scores. Nothing that comes from a candidate's process is believed but that it failed; what it
returns is plain data for the problem's evaluator to check.
"""

import math
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, Self

from funsearch.core.ports import CandidateFailure, ProcessReport
from funsearch.core.records import Limits, Status
from funsearch.sandbox import codec
from funsearch.sandbox.affinity import SharedProcessor
from funsearch.sandbox.child import FAILED, LENGTH, READ_BYTES, REQUEST, SET_UP, VALUE
from funsearch.sandbox.columns import decode_column, encode_column
from funsearch.sandbox.process import WorkerLost, WorkerProcess
from funsearch.sandbox.worker import Report

SET_UP_SECONDS = 10.0
"""How long a child may take until it is ready to load its candidate; no code of a candidate has run by then."""

OVERSHOOT_SECONDS = 0.02
"""How much longer than it may a candidate takes at most until it is noticed."""
BIG_READ_BYTES = 2**20
CALLS_AT_ONCE = 1000
"""In one frame, of many calls."""

_OWN_WORDS = {Status.COMPILE_ERROR, Status.RUNTIME_ERROR, Status.MEMORY, Status.EARLY_EXIT, Status.PROTOCOL}
"""What a candidate's process is believed to say of itself: none of it is to its advantage."""
_UNSHOWN = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")
"""Control characters, which have no business in a terminal or a database."""


class ForkedCandidate:
    """One candidate in its child process."""

    def __init__(
        self, worker: WorkerProcess, calls: socket.socket, limits: Limits, cpu_seconds: int, processor: SharedProcessor
    ) -> None:
        """Takes over the engine's end of the calls of a job that was handed out, and the processor it runs on."""
        self._worker = worker
        self._processor = processor
        self._calls = calls
        self._limits = limits
        self._cpu_seconds = cpu_seconds
        self._writable = select.poll()
        self._writable.register(calls.fileno(), select.POLLOUT)
        self._patience = math.inf
        """How long the system lets a read wait, seconds."""
        self._set_up = False
        self._pending = b""
        self._failure: CandidateFailure | None = None
        self._report: ProcessReport | None = None
        self._started = time.monotonic()
        self._deadline = self._started + SET_UP_SECONDS

    def load(self) -> None:
        """Waits until the process is set up, then until the candidate has been executed.

        Raises:
            CandidateFailure: the candidate does not compile, or fails.
            WorkerLost: the worker died before any of the candidate's code ran.
        """
        kind, detail = self._receive()
        if kind != SET_UP:
            raise self._fail(Status.INFRA, detail.decode("utf-8", "replace"))
        self._set_up = True
        self._started = time.monotonic()
        self.begin_input()
        self._value()

    def begin_input(self) -> None:
        self._deadline = time.monotonic() + self._limits.seconds

    def call(self, function: str, args: Sequence[Any]) -> Any:
        try:
            arguments = codec.encode(list(args))
        except codec.CodecError as error:
            raise _does_not_cross(function, error) from None
        payload = self._ask(function, 0, arguments)
        try:
            return codec.decode(payload)
        except codec.CodecError as error:
            raise self._fail(Status.PROTOCOL, f"{function} returned {error}") from None

    def call_many(self, function: str, columns: Sequence[Sequence[Any]]) -> list[Any]:
        results: list[Any] = []
        for start in range(0, len(columns[0]), CALLS_AT_ONCE):
            several = [list(column[start : start + CALLS_AT_ONCE]) for column in columns]
            results += self._call_several(function, several)
        return results

    def _call_several(self, function: str, columns: list[list[Any]]) -> Sequence[Any]:
        count = len(columns[0])
        try:
            arguments = b"".join(map(encode_column, columns))
        except codec.CodecError as error:
            raise _does_not_cross(function, error) from None
        payload = self._ask(function, count, arguments)
        try:
            results, end = decode_column(payload, 0, count)
            if end != len(payload):
                raise codec.CodecError("more than it was asked for")
        except codec.CodecError as error:
            raise self._fail(Status.PROTOCOL, f"{function} returned {error}") from None
        return results

    def _ask(self, function: str, calls: int, arguments: bytes) -> bytes | bytearray:
        """Returns the answer to a request."""
        if self._failure is not None:
            raise self._failure
        if self._pending:
            raise self._fail(Status.PROTOCOL, "it answered without being asked")
        name = function.encode()
        header = REQUEST.pack(calls, len(name))
        size = LENGTH.pack(len(header) + len(name) + len(arguments))
        self._send(b"".join([size, header, name, arguments]))
        return self._value()

    def close(self) -> ProcessReport:
        if self._report is None:
            self._end(kill=False)
        assert self._report is not None
        return self._report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._calls.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                self._writable.poll(1000 * self._seconds_left())
            except OSError:
                return  # it is gone; what it said last, or how it ended, is still to be read

    def _value(self) -> bytes | bytearray:
        """Returns the value that the candidate's process says next."""
        kind, payload = self._receive()
        if kind == VALUE:
            return payload
        word, _, detail = payload.decode("utf-8", "replace").partition(":")
        if kind == FAILED and word in _OWN_WORDS:
            raise self._fail(Status(word), detail, kill=False)
        raise self._fail(Status.PROTOCOL, f"a malformed answer: {bytes(payload[:40])!r}")

    def _receive(self) -> tuple[bytes, bytes | bytearray]:
        """Returns kind and payload of the next frame."""
        data: bytes | bytearray = self._pending
        while len(data) < LENGTH.size:
            data += self._read(READ_BYTES)
        (size,) = LENGTH.unpack_from(data)
        if not 0 < size <= codec.MAX_BYTES + 1:
            raise self._fail(Status.PROTOCOL, f"an answer of {size} bytes")
        end = LENGTH.size + size
        if len(data) < end:
            data = bytearray(data)
            while len(data) < end:
                data += self._read(min(end - len(data), BIG_READ_BYTES))
        self._pending = bytes(data[end:])
        return bytes(data[LENGTH.size : LENGTH.size + 1]), data[LENGTH.size + 1 : end]

    def _read(self, most: int) -> bytes:
        while True:
            self._have_patience(self._seconds_left())
            try:
                part = self._calls.recv(most)
            except BlockingIOError:
                continue
            except OSError:
                part = b""
            if part:
                return part
            raise self._died()

    def _have_patience(self, seconds: float) -> None:
        """Lets reads wait so long, give or take a little: one system call instead of two for each read."""
        if seconds > self._patience or self._patience > seconds + OVERSHOOT_SECONDS:
            whole = int(seconds)
            # Zero would be for ever.
            timeval = struct.pack("@ll", whole, max(1, int((seconds - whole) * 1e6)))
            self._calls.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            self._patience = seconds

    def _seconds_left(self) -> float:
        """Returns how long the candidate may still take.

        Raises:
            CandidateFailure: its time is up.
        """
        left = self._deadline - time.monotonic()
        if left > 0:
            return left
        if not self._set_up:
            raise self._died()
        raise self._fail(Status.TIMEOUT, f"longer than {self._limits.seconds:g} s")

    def _died(self) -> CandidateFailure:
        """Returns why a process that closed its end is gone.

        Raises:
            WorkerLost: it was never set up, because the worker is gone.
        """
        report = self._end(kill=True)
        if report is None:
            status, detail = Status.INFRA, "the sandbox's worker died"
            if not self._set_up:
                raise WorkerLost(detail)
        elif not self._set_up:
            status, detail = Status.INFRA, f"the candidate's process died too early ({_how(report.exit)})"
        elif report.too_much_output:
            status, detail = Status.OUTPUT_LIMIT, self._output_limit()
        elif report.exit == -signal.SIGSYS:
            status, detail = Status.VIOLATION, "a forbidden system call"
        elif report.exit == -signal.SIGXCPU or (
            report.exit == -signal.SIGKILL and report.cpu_seconds >= self._cpu_seconds
        ):
            status, detail = Status.CPU_LIMIT, f"{report.cpu_seconds:.1f} s of processor time"
        elif report.exit < 0:
            status, detail = Status.CRASH, _how(report.exit)
        else:
            status, detail = Status.EARLY_EXIT, _how(report.exit)
        self._failure = CandidateFailure(status, detail)
        return self._failure

    def _fail(self, status: Status, detail: str, *, kill: bool = True) -> CandidateFailure:
        """Ends the process for a reason, and returns the failure."""
        report = self._end(kill=kill)
        if report is not None and report.too_much_output and status is not Status.TIMEOUT:
            status, detail = Status.OUTPUT_LIMIT, self._output_limit()
        self._failure = CandidateFailure(status, _shown(detail))
        return self._failure

    def _output_limit(self) -> str:
        return f"more than {self._limits.output_bytes} bytes"

    def _end(self, *, kill: bool) -> Report | None:
        """Ends the child, keeps what the worker reports on it and returns it, None when there is no worker."""
        self._calls.close()
        try:
            report = self._worker.report(kill=kill)
        except WorkerLost:
            self._report = ProcessReport(seconds=time.monotonic() - self._started)
            return None
        finally:
            self._processor.release()
        self._report = ProcessReport(
            _shown(report.output), time.monotonic() - self._started, report.cpu_seconds, report.too_much_output
        )
        return report


def _does_not_cross(function: str, error: codec.CodecError) -> TypeError:
    return TypeError(f"an argument of {function} does not cross to the candidate: {error}")


def _how(exit_status: int) -> str:
    return f"exit status {exit_status}" if exit_status >= 0 else f"signal {signal.Signals(-exit_status).name}"


def _shown(text: str) -> str:
    return text.translate(_UNSHOWN)
