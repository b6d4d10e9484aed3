"""Whatever bytes a candidate's process sends, the trusted side gets a value or names a failure, and soon."""

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from funsearch.core.ports import CandidateFailure
from funsearch.core.records import Limits, Status
from funsearch.sandbox.affinity import SharedProcessor
from funsearch.sandbox.candidate import ForkedCandidate
from funsearch.sandbox.codec import encode
from funsearch.sandbox.worker import Report

LIMITS = Limits(seconds=5.0)
SET_UP = struct.pack("<I", 1) + b"S"
VALUE = struct.pack("<I", 2) + b"V\xc0"


class DeadWorker:
    """A worker whose child is gone."""

    def report(self, *, kill: bool) -> Report:
        return Report(0, "", False, 0.0)


def outcome(sent: bytes) -> object:
    """Returns what a call returns, or the status of its failure, of a child that says `sent` and no more."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        candidate = ForkedCandidate(DeadWorker(), ours, LIMITS, 10, SharedProcessor())  # type: ignore[arg-type]
        try:
            candidate.load()
            return candidate.call("f", ())
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


@given(st.binary(max_size=100))
def test_noise_after_the_start_is_the_candidates_fault(noise: bytes) -> None:
    result = outcome(SET_UP + noise)
    assert result is not Status.INFRA
    assert isinstance(result, Status)


@given(st.lists(frames, max_size=4), st.binary(max_size=6))
def test_frames_of_any_kind_never_pass_for_our_own_fault(sent: list[bytes], rest: bytes) -> None:
    assert outcome(SET_UP + VALUE + b"".join(sent) + rest) not in (Status.INFRA, Status.OK, Status.INVALID_SOLUTION)


def test_answer_in_time_is_a_value_and_one_before_it_is_not() -> None:
    assert outcome(SET_UP + VALUE + VALUE) is Status.PROTOCOL  # it was there before the question
    assert outcome(SET_UP) is Status.EARLY_EXIT
    assert outcome(SET_UP + VALUE) is Status.EARLY_EXIT


@given(st.integers(1, 200))
def test_frame_that_is_cut_short_is_an_early_exit(missing: int) -> None:
    frame = struct.pack("<I", 201) + b"V" + bytes(200)
    assert outcome(SET_UP + frame[:-missing]) is Status.EARLY_EXIT
