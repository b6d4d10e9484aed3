"""A candidate from the engine's side: calls it over a socket, enforces its time limits, and determines how it failed.

Knows nothing about scores. Nothing that a candidate's process reports is trusted, except that it failed; its results
are plain data, which the problem's evaluator has to check.
"""

import math
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from typing import Self

from funsearch.core.ports import CandidateFailure, ProcessReport
from funsearch.core.records import Limits, Status
from funsearch.sandbox import codec
from funsearch.sandbox.affinity import SharedProcessor
from funsearch.sandbox.child import FAILED, LENGTH, READ_BYTES, REQUEST, SET_UP, VALUE
from funsearch.sandbox.columns import decode_column, encode_column
from funsearch.sandbox.process import WorkerLost, WorkerProcess
from funsearch.sandbox.worker import Report

SET_UP_SECONDS = 10.0
"""Time limit for a child to become ready to load its candidate; until then, no code of the candidate has run."""

OVERSHOOT_SECONDS = 0.02
"""Maximum time by which a candidate can exceed its time limit before this is noticed."""
BIG_READ_BYTES = 2**20
CALLS_PER_FRAME = 1000
"""Maximum number of calls in one frame of `call_many`."""

_SELF_REPORTED = {Status.COMPILE_ERROR, Status.RUNTIME_ERROR, Status.MEMORY, Status.EARLY_EXIT, Status.PROTOCOL}
"""Statuses that a candidate's process may report about itself; none of them is to its advantage."""
_HIDDEN = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd")
"""Control characters, which must not reach a terminal or a database."""


class ForkedCandidate:
    """A candidate in its child process."""

    def __init__(
        self, worker: WorkerProcess, calls: socket.socket, limits: Limits, cpu_seconds: int, processor: SharedProcessor
    ) -> None:
        """Takes ownership of the engine's end of the socket for calls, and of the processor that the job runs on."""
        self._worker = worker
        self._processor = processor
        self._calls = calls
        self._limits = limits
        self._cpu_seconds = cpu_seconds
        self._writable = select.poll()
        self._writable.register(calls.fileno(), select.POLLOUT)
        self._read_timeout = math.inf
        """Timeout of reads from the socket, as set in the kernel, in seconds."""
        self._set_up = False
        self._pending = b""
        self._failure: CandidateFailure | None = None
        self._report: ProcessReport | None = None
        self._started = time.monotonic()
        self._deadline = self._started + SET_UP_SECONDS

    def load(self) -> None:
        """Waits until the process is set up and has executed the candidate's module.

        Raises:
            CandidateFailure: the candidate does not compile, or fails.
            WorkerLost: the worker died before any code of the candidate ran.
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

    def call(self, function: str, args: Sequence[object]) -> object:
        try:
            arguments = codec.encode(list(args))
        except codec.CodecError as error:
            raise _cannot_be_sent(function, error) from None
        payload = self._request(function, 0, arguments)
        try:
            return codec.decode(payload)
        except codec.CodecError as error:
            raise self._fail(Status.PROTOCOL, f"{function} returned {error}") from None

    def call_many(self, function: str, columns: Sequence[Sequence[object]]) -> list[object]:
        results: list[object] = []
        for start in range(0, len(columns[0]), CALLS_PER_FRAME):
            batch = [list(column[start : start + CALLS_PER_FRAME]) for column in columns]
            results += self._call_batch(function, batch)
        return results

    def _call_batch(self, function: str, columns: list[list[object]]) -> Sequence[object]:
        count = len(columns[0])
        try:
            arguments = b"".join(map(encode_column, columns))
        except codec.CodecError as error:
            raise _cannot_be_sent(function, error) from None
        payload = self._request(function, count, arguments)
        try:
            results, end = decode_column(payload, 0, count)
            if end != len(payload):
                raise codec.CodecError("more results than there were calls")
        except codec.CodecError as error:
            raise self._fail(Status.PROTOCOL, f"{function} returned {error}") from None
        return results

    def _request(self, function: str, calls: int, arguments: bytes) -> bytes | bytearray:
        """Sends a request and returns the response; `calls` is 0 for a single call."""
        if self._failure is not None:
            raise self._failure
        if self._pending:
            raise self._fail(Status.PROTOCOL, "it sent a response without a request")
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
                self._writable.poll(1000 * self._remaining_seconds())
            except OSError:
                return  # The process is gone; its last message or its end is still to be read.

    def _value(self) -> bytes | bytearray:
        """Receives a value from the candidate's process."""
        kind, payload = self._receive()
        if kind == VALUE:
            return payload
        status, _, detail = payload.decode("utf-8", "replace").partition(":")
        if kind == FAILED and status in _SELF_REPORTED:
            raise self._fail(Status(status), detail, kill=False)
        raise self._fail(Status.PROTOCOL, f"a malformed response: {bytes(payload[:40])!r}")

    def _receive(self) -> tuple[bytes, bytes | bytearray]:
        """Receives a frame and returns its kind and payload."""
        data: bytes | bytearray = self._pending
        while len(data) < LENGTH.size:
            data += self._read(READ_BYTES)
        (size,) = LENGTH.unpack_from(data)
        if not 0 < size <= codec.MAX_BYTES + 1:
            raise self._fail(Status.PROTOCOL, f"a response of {size} bytes")
        end = LENGTH.size + size
        if len(data) < end:
            data = bytearray(data)
            while len(data) < end:
                data += self._read(min(end - len(data), BIG_READ_BYTES))
        self._pending = bytes(data[end:])
        return bytes(data[LENGTH.size : LENGTH.size + 1]), data[LENGTH.size + 1 : end]

    def _read(self, most: int) -> bytes:
        while True:
            self._set_read_timeout(self._remaining_seconds())
            try:
                part = self._calls.recv(most)
            except BlockingIOError:
                continue
            except OSError:
                part = b""
            if part:
                return part
            raise self._died()

    def _set_read_timeout(self, seconds: float) -> None:
        """Sets the timeout of reads, unless it is nearly the same: most reads then take a single system call."""
        if seconds > self._read_timeout or self._read_timeout > seconds + OVERSHOOT_SECONDS:
            whole = int(seconds)
            # Zero would mean no timeout.
            timeval = struct.pack("@ll", whole, max(1, int((seconds - whole) * 1e6)))
            self._calls.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            self._read_timeout = seconds

    def _remaining_seconds(self) -> float:
        """Returns the time that the candidate has left.

        Raises:
            CandidateFailure: the candidate has timed out.
        """
        remaining = self._deadline - time.monotonic()
        if remaining > 0:
            return remaining
        if not self._set_up:
            raise self._died()
        raise self._fail(Status.TIMEOUT, f"longer than {self._limits.seconds:g} s")

    def _died(self) -> CandidateFailure:
        """Returns the failure of a process that closed its end of the socket, by how it ended.

        Raises:
            WorkerLost: the process was never set up, because the worker died.
        """
        report = self._end(kill=True)
        if report is None:
            status, detail = Status.INFRA, "the sandbox's worker died"
            if not self._set_up:
                raise WorkerLost(detail)
        elif not self._set_up:
            status, detail = Status.INFRA, f"the candidate's process died before it was set up ({_how(report.exit)})"
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
        """Ends the process and returns the failure to raise."""
        report = self._end(kill=kill)
        if report is not None and report.too_much_output and status is not Status.TIMEOUT:
            status, detail = Status.OUTPUT_LIMIT, self._output_limit()
        self._failure = CandidateFailure(status, _printable(detail))
        return self._failure

    def _output_limit(self) -> str:
        return f"more than {self._limits.output_bytes} bytes"

    def _end(self, *, kill: bool) -> Report | None:
        """Ends the child; stores and returns the worker's report on it, or returns None if the worker is gone."""
        self._calls.close()
        try:
            report = self._worker.report(kill=kill)
        except WorkerLost:
            self._report = ProcessReport(seconds=time.monotonic() - self._started)
            return None
        finally:
            self._processor.release()
        self._report = ProcessReport(
            _printable(report.output), time.monotonic() - self._started, report.cpu_seconds, report.too_much_output
        )
        return report


def _cannot_be_sent(function: str, error: codec.CodecError) -> TypeError:
    return TypeError(f"an argument of {function} cannot be sent to the candidate: {error}")


def _how(exit_status: int) -> str:
    return f"exit status {exit_status}" if exit_status >= 0 else f"signal {signal.Signals(-exit_status).name}"


def _printable(text: str) -> str:
    return text.translate(_HIDDEN)
