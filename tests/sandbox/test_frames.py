"""Whatever bytes a candidate's process sends, the trusted side soon has a value or a failure."""

import socket
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch.core.ports import CandidateFailure
from funsearch.core.records import Limits, Status
from funsearch.sandbox.affinity import SharedProcessor
from funsearch.sandbox.candidate import ForkedCandidate
from funsearch.sandbox.codec import encode
from funsearch.sandbox.columns import encode_column
from funsearch.sandbox.worker import Report

LIMITS = Limits(seconds=5.0)
SET_UP = struct.pack("<I", 1) + b"S"
VALUE = struct.pack("<I", 2) + b"V\xc0"


class DeadWorker:
    """A worker whose child is gone."""

    def report(self, *, kill: bool) -> Report:
        return Report(0, "", False, 0.0)


def outcome(sent: bytes, answer: bytes = b"", calls: int = 0) -> object:
    """Returns the result of a call, or of many, or the status of the failure.

    The child sends `sent`, then, once it is loaded, `answer`, and nothing more.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        if not answer:
            theirs.shutdown(socket.SHUT_WR)
        candidate = ForkedCandidate(DeadWorker(), ours, LIMITS, 10, SharedProcessor())  # type: ignore[arg-type]
        try:
            candidate.load()
            if answer:
                theirs.sendall(answer)
                theirs.shutdown(socket.SHUT_WR)
            return candidate.call_many("f", [[0] * calls]) if calls else candidate.call("f", ())
        except CandidateFailure as failure:
            return failure.status
        finally:
            candidate.close()


frames = st.builds(
    lambda kind, payload: struct.pack("<I", 1 + len(payload)) + kind + payload,
    st.sampled_from([b"V", b"F", b"S", b"X"]),
    st.binary(max_size=60)
    | st.integers().map(encode)
    | st.sampled_from([b"INFRA:x", b"OK:", b"TIMEOUT:x", b"MEMORY:"]),
)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_noise_after_the_set_up_is_a_failure_of_the_candidate(noise: bytes) -> None:
    result = outcome(SET_UP + noise)
    assert result is not Status.INFRA
    assert isinstance(result, Status)


@settings(deadline=None)
@given(st.lists(frames, max_size=4), st.binary(max_size=6))
def test_no_frames_can_forge_an_infrastructure_failure_or_a_result(sent: list[bytes], rest: bytes) -> None:
    assert outcome(SET_UP + VALUE + b"".join(sent) + rest) not in (Status.INFRA, Status.OK, Status.INVALID_SOLUTION)


def test_response_before_the_request_is_a_protocol_error() -> None:
    assert outcome(SET_UP + VALUE + VALUE) is Status.PROTOCOL  # The response came before the request.
    assert outcome(SET_UP) is Status.EARLY_EXIT
    assert outcome(SET_UP + VALUE) is Status.EARLY_EXIT


@settings(deadline=None)
@given(st.integers(1, 200))
def test_truncated_frame_is_an_early_exit(missing: int) -> None:
    frame = struct.pack("<I", 201) + b"V" + bytes(200)
    assert outcome(SET_UP + frame[:-missing]) is Status.EARLY_EXIT


def value(payload: bytes) -> bytes:
    return struct.pack("<I", 1 + len(payload)) + b"V" + payload


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_noise_as_a_response_is_a_value_or_a_failure_of_the_candidate(noise: bytes) -> None:
    assert outcome(SET_UP + VALUE, value(noise)) not in (Status.INFRA, Status.OK, Status.INVALID_SOLUTION)


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(1, 9))
def test_noise_as_a_response_to_many_calls_is_as_many_values_or_a_failure(noise: bytes, calls: int) -> None:
    result = outcome(SET_UP + VALUE, value(noise), calls)
    assert result is Status.PROTOCOL or (isinstance(result, list) and len(result) == calls)


def test_response_to_many_calls_is_exactly_one_column() -> None:
    column = encode_column([1.5, 2.5])
    assert outcome(SET_UP + VALUE, value(column), 2) == [1.5, 2.5]
    assert outcome(SET_UP + VALUE, value(column), 1) is Status.PROTOCOL
    assert outcome(SET_UP + VALUE, value(column), 3) is Status.PROTOCOL
    assert outcome(SET_UP + VALUE, value(column + b"x"), 2) is Status.PROTOCOL
    assert outcome(SET_UP + VALUE, value(column) + VALUE, 2) == [1.5, 2.5]
    assert outcome(SET_UP + VALUE, value(b""), 2) is Status.PROTOCOL
