"""A sandbox without confinement, for unit tests of code that uses one.

It keeps the promises of the port that an honest candidate can observe: values are copied and must be plain data, a
failure is permanent, and output is reported. It has no limits, so a candidate may run forever.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, Self, TypeVar

import numpy as np

from funsearch.core.ports import CandidateFailure, ProcessReport
from funsearch.core.records import Limits, Status

T = TypeVar("T")


class InProcessCandidate:
    """A candidate that runs in the current process."""

    def __init__(self, source: str, limits: Limits) -> None:
        self._limits = limits
        self._output = io.StringIO()
        self._namespace: dict[str, Any] = {"__name__": "candidate"}
        self._failure: CandidateFailure | None = None
        try:
            code = compile(source, "<candidate>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise CandidateFailure(Status.COMPILE_ERROR, str(error)) from error
        self._guarded(lambda: exec(code, self._namespace))

    def begin_input(self) -> None:
        """Does nothing: there is no clock."""

    def call(self, function: str, args: Sequence[object]) -> object:
        arguments = [copy_plain(argument) for argument in args]
        result: object = self._guarded(lambda: self._namespace[function](*arguments))
        try:
            return copy_plain(result)
        except TypeError as error:
            self._failure = CandidateFailure(Status.PROTOCOL, str(error))
            raise self._failure from None

    def call_many(self, function: str, columns: Sequence[Sequence[object]]) -> list[object]:
        return [self.call(function, args) for args in zip(*columns, strict=True)]

    def close(self) -> ProcessReport:
        return ProcessReport(self._output.getvalue()[: self._limits.output_bytes])

    def _guarded(self, call: Callable[[], T]) -> T:
        if self._failure:
            raise self._failure
        try:
            with redirect_stdout(self._output), redirect_stderr(self._output):
                return call()
        except SystemExit as error:
            self._failure = CandidateFailure(Status.EARLY_EXIT, f"it exited with {error.code}")
        # Any exception of a candidate is the candidate's failure.
        except Exception as error:
            self._failure = CandidateFailure(Status.RUNTIME_ERROR, f"{type(error).__name__}: {error}")
        raise self._failure from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class InProcessSandbox:
    """Runs candidates in the current process. Its level is `none`."""

    level = "none"

    def start(self, source: str, limits: Limits) -> InProcessCandidate:
        return InProcessCandidate(source, limits)

    def refresh(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""


def copy_plain(value: object) -> object:
    """Returns a copy of plain data, as it would arrive on the other side of a real sandbox.

    Raises:
        TypeError: the value contains an object of a type that cannot be sent.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [copy_plain(item) for item in value]
    if type(value) is tuple:
        return tuple(copy_plain(item) for item in value)
    if type(value) is dict:
        return {copy_plain(name): copy_plain(item) for name, item in value.items()}
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return value.copy()
    raise TypeError(f"a {type(value).__name__} cannot be sent; plain data and numeric arrays can")
