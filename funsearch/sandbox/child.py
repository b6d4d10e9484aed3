"""The code that runs in a candidate's process: loads the program and answers calls.

The candidate can tamper with all of it, so nothing it sends is trusted, except that the candidate failed.
"""

import os
import struct
import sys
import time
import types
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from funsearch.sandbox import codec
from funsearch.sandbox.columns import decode_column, encode_column

CALLS = 3
"""File descriptor of the socket for calls."""
LENGTH = struct.Struct("<I")
REQUEST = struct.Struct("<IB")
"""Header of a request: the number of calls, 0 for a single one, and the length of the function's name. The name
follows, then the arguments: a column for each, or a list for a single call."""
SET_UP, VALUE, FAILED = b"S", b"V", b"F"
"""First byte of a frame from the child: ready to load, a value, or `STATUS:detail`."""
FILE = "<candidate>"
READ_BYTES = 32768
DETAIL_BYTES = 2000
FRAMES_SHOWN = 3
GRACE_SECONDS = 0.1 if hasattr(os, "pidfd_open") else 0.0
"""Time that a child waits to be ended, where the worker ends it as soon as its output is closed; see `Watch`."""


_REHEARSAL = """
import itertools
import math
import numpy as np
def f(n: int, *rest: float) -> list:
    rows = np.array(list(itertools.product((0, 1, 2), repeat=n)), dtype=np.int32)
    best = np.zeros(len(rows)) + math.sqrt(n)
    counts = {tuple(row): float(x) for row, x in zip(rows.tolist(), best)}
    order = np.argsort(-best)[np.flatnonzero(best >= 0)]
    sums = np.where((rows @ rows.T) % 3 == 0, 1, 0).max(axis=1)
    return [rows, order, sums, list(counts), int(np.argmax(best)), f"{n:.2f}"]
"""


class _Failure(Exception):
    """Raised for a failure with a specific status."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def say(fd: int, kind: bytes, payload: bytes = b"") -> None:
    """Sends a frame."""
    data = LENGTH.pack(len(kind) + len(payload)) + kind + payload
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def rehearse() -> None:
    """Runs a typical program once.

    A fork copies a memory page when it first writes to it, and nearly all candidates write to the same few hundred.
    """
    names: dict[str, Any] = {}
    exec(compile(_REHEARSAL, FILE, "exec", dont_inherit=True), names)
    codec.decode(codec.encode(names["f"](2)))


def serve(source: str, reserve: list[object]) -> NoReturn:
    """Loads a candidate and answers calls until the other side closes the socket.

    `reserve` holds the only reference to some memory, which is freed so that a lack of memory can be reported.
    """
    say(CALLS, SET_UP)
    try:
        names = _load(source)
        say(CALLS, VALUE)
        while request := _next_request():
            say(CALLS, VALUE, _answer(names, request))
    except BaseException as error:  # Any exception of a candidate is the candidate's failure.
        reserve.clear()
        _report(error, source)
    finally:
        _flush()
        os.closerange(1, 3)  # The worker now reports on this process and ends it.
        time.sleep(GRACE_SECONDS)  # So that its memory is not freed on the engine's processor while the engine waits.
        os._exit(0)


def _load(source: str) -> Mapping[str, Any]:
    """Executes the candidate's module and returns its names."""
    try:
        code = compile(source, FILE, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise _Failure("COMPILE_ERROR", f"{type(error).__name__}: {error}") from None
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module  # Needed by dataclasses.
    exec(code, module.__dict__)
    return module.__dict__


def _next_request() -> bytes | bytearray:
    """Returns the next request, or nothing if the socket was closed."""
    data: bytes | bytearray = os.read(CALLS, READ_BYTES)
    if not data:
        return b""
    end = LENGTH.size + LENGTH.unpack_from(data)[0]
    if len(data) < end:
        data = bytearray(data)
        while len(data) < end:
            part = os.read(CALLS, end - len(data))
            if not part:
                return b""
            data += part
    return data[LENGTH.size :]


def _answer(names: Mapping[str, Any], request: bytes | bytearray) -> bytes:
    calls, length = REQUEST.unpack_from(request)
    start = REQUEST.size + length
    name = request[REQUEST.size : start].decode()
    try:
        function = names[name]
    except KeyError:
        raise _Failure("RUNTIME_ERROR", f"the program has no function {name}") from None
    try:
        if not calls:
            return codec.encode(function(*codec.decode(request[start:])))
        arguments = []
        while start < len(request):
            column, start = decode_column(request, start, calls)
            arguments.append(column)
        return encode_column([_snapshot(function(*entries)) for entries in zip(*arguments, strict=True)])
    except codec.CodecError as error:
        raise _Failure("PROTOCOL", f"{name} returned {error}") from None


def _snapshot(value: object) -> object:
    """Returns a copy of a result that later calls cannot change, so that many calls are equal to separate calls."""
    if type(value) is np.ndarray:
        return value.copy()
    return value if type(value) in codec.SCALARS else codec.decode(codec.encode(value))


def _report(error: BaseException, source: str) -> None:
    try:
        description = _describe(error, source)
    except BaseException:  # The class of the exception is the candidate's code as well.
        description = "RUNTIME_ERROR:an exception that cannot be shown"
    try:
        say(CALLS, FAILED, description.encode("utf-8", "replace")[:DETAIL_BYTES])
    except BaseException:  # The other side is gone, or memory is exhausted; the worker reports the exit anyway.
        os._exit(1)


def _describe(error: BaseException, source: str) -> str:
    """Returns `STATUS:detail` for an exception of a candidate."""
    if isinstance(error, _Failure):
        return f"{error.status}:{error}"
    if isinstance(error, MemoryError):
        return "MEMORY:MemoryError" + _where(error, source)
    if isinstance(error, SystemExit):
        return f"EARLY_EXIT:SystemExit({error.code!r:.100})" + _where(error, source)
    return f"RUNTIME_ERROR:{type(error).__name__}: {error!s:.1000}" + _where(error, source)


def _where(error: BaseException, source: str) -> str:
    """Returns the innermost lines of the candidate's own code in a traceback."""
    lines = source.splitlines()
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == FILE and 0 < trace.tb_lineno <= len(lines):
            places.append(f"line {trace.tb_lineno}, in {code.co_name}: {lines[trace.tb_lineno - 1].strip():.100}")
        trace = trace.tb_next
    return f" ({'; '.join(places[-FRAMES_SHOWN:])})" if places else ""


def _flush() -> None:
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        try:
            stream.flush()  # type: ignore[union-attr]
        except BaseException:  # The candidate may have replaced the stream by any object.
            continue
