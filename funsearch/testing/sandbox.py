"""A sandbox that confines nothing, for unit tests of what stands around it."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any, Self

from funsearch.core.ports import CandidateFailure, ProcessReport
from funsearch.core.records import Limits, Status


class InProcessCandidate:
    """A candidate in this very process; what it raises becomes a failure, what it never ends never ends."""

    def __init__(self, source: str) -> None:
        self._output = io.StringIO()
        self._namespace: dict[str, Any] = {"__name__": "candidate"}
        self._failure: CandidateFailure | None = None
        try:
            code = compile(source, "<candidate>", "exec")
        except (SyntaxError, ValueError) as error:
            raise CandidateFailure(Status.COMPILE_ERROR, str(error)) from None
        self._guarded(lambda: exec(code, self._namespace))

    def begin_input(self) -> None:
        """Does nothing: there is no clock here."""

    def call(self, function: str, args: Sequence[Any]) -> Any:
        return self._guarded(lambda: self._namespace[function](*args))

    def close(self) -> ProcessReport:
        return ProcessReport(self._output.getvalue())

    def _guarded(self, work: Any) -> Any:
        if self._failure:
            raise self._failure
        try:
            with redirect_stdout(self._output):
                return work()
        # Whatever a candidate raises is its own failure.
        except Exception as error:
            self._failure = CandidateFailure(Status.RUNTIME_ERROR, f"{type(error).__name__}: {error}")
            raise self._failure from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class InProcessSandbox:
    """Runs candidates in this process. Level `none`."""

    level = "none"

    def start(self, source: str, limits: Limits) -> InProcessCandidate:
        return InProcessCandidate(source)

    def close(self) -> None:
        """Does nothing."""
