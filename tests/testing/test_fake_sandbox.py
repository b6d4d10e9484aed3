"""The sandbox without confinement keeps the promises of the port."""

from typing import Any

import numpy as np
import pytest

from funsearch.core.ports import CandidateFailure, CandidateProcess, Sandbox
from funsearch.core.records import Limits, Status
from funsearch.testing import InProcessSandbox


def start(source: str) -> CandidateProcess:
    sandbox: Sandbox = InProcessSandbox()
    return sandbox.start(source, Limits(output_bytes=10))


def failure(source: str, *args: Any) -> CandidateFailure:
    with pytest.raises(CandidateFailure) as caught, start(source) as process:
        process.call("f", args)
    return caught.value


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("def f(:", Status.COMPILE_ERROR),
        ("\0", Status.COMPILE_ERROR),
        ("1 / 0", Status.RUNTIME_ERROR),
        ("import sys; sys.exit(3)", Status.EARLY_EXIT),
        ("g = 1", Status.RUNTIME_ERROR),
        ("def f(): return object()", Status.PROTOCOL),
        ("def f(): return {1, 2}", Status.PROTOCOL),
        ("def f(): raise SystemExit", Status.EARLY_EXIT),
    ],
)
def test_every_failure_has_a_status(source: str, status: Status) -> None:
    assert failure(source).status is status


def test_failure_is_permanent() -> None:
    process = start("def f(x): return 1 / x")
    for argument in (0, 1, 2):
        with pytest.raises(CandidateFailure, match="ZeroDivisionError"):
            process.call("f", [argument])


def test_values_are_copied() -> None:
    array, words = np.arange(3.0), ["a"]
    process = start("kept = []\ndef f(x, y): x[0] = 9; y.append('b'); kept.append(x); return kept[0], y")
    returned = process.call("f", [array, words])
    returned[0][1] = 9
    assert (array.tolist(), words) == ([0, 1, 2], ["a"])
    assert process.call("f", [array, words])[0].tolist() == [9, 1, 2]


def test_numpy_scalars_become_python_numbers() -> None:
    result = start("import numpy as np\ndef f(x): return [np.float32(0.5), {1: np.int8(x)}]").call("f", [np.int64(3)])
    assert result == [0.5, {1: 3}]
    assert [type(result[0]), type(result[1][1])] == [float, int]


@pytest.mark.parametrize("argument", [object(), {1}, b"bytes", np.array(["text"]), np.array([None]), 1j])
def test_argument_that_cannot_be_sent_is_an_error_of_the_caller(argument: Any) -> None:
    process = start("def f(x): return x")
    with pytest.raises(TypeError, match="cannot be sent"):
        process.call("f", [argument])
    assert process.call("f", [1]) == 1


def test_output_is_reported_up_to_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with start("import sys\nprint('abc')\ndef f(): print('defgh', file=sys.stderr); print('ijk')") as process:
        process.call("f", [])
    assert process.close() == process.close()
    assert process.close().output == "abc\ndefgh\n"
    assert capsys.readouterr() == ("", "")
