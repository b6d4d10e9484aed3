"""Columns of many calls: decoding restores them, and any other data is a column or is refused."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch.sandbox import codec
from funsearch.sandbox.codec import CodecError
from funsearch.sandbox.columns import decode_column, encode_column

DTYPES = st.sampled_from(codec.DTYPES)
ARRAYS = DTYPES.flatmap(lambda dtype: st.lists(st.integers(0, 5).map(lambda size: np.ones(size, dtype)), max_size=5))
COLUMNS = st.one_of(
    st.lists(st.floats()),
    st.lists(st.integers()),
    st.lists(st.booleans()),
    st.lists(st.none() | st.booleans() | st.floats() | st.text() | st.lists(st.integers(), max_size=2).map(tuple)),
    ARRAYS,
)


def shown(value: Any) -> Any:
    """Returns a value and its type in a form that can be compared, where NaN equals itself."""
    return (value.dtype, value.shape, value.tobytes()) if type(value) is np.ndarray else (type(value), repr(value))


@settings(deadline=None)
@given(COLUMNS, st.binary(max_size=9))
def test_decoding_restores_entries_and_their_types(values: list[Any], before: bytes) -> None:
    data = before + encode_column(values)
    back, end = decode_column(data + b"more", len(before), len(values))
    assert end == len(data)
    assert list(map(shown, back)) == list(map(shown, values))


@pytest.mark.parametrize(
    "values",
    [
        [np.arange(6.0)[::2], np.arange(3.0)],
        [np.arange(3, dtype=">f8"), np.arange(2, dtype=">f8")],
        [np.arange(3.0), np.arange(3)],
        [np.zeros((2, 2)), np.zeros((2, 2))],
        [np.zeros(()), np.zeros(())],
        [np.zeros(2), None],
    ],
    ids=["strided", "big-endian", "two types", "two dimensions", "no dimensions", "not only arrays"],
)
def test_decoding_restores_arrays_of_any_kind(values: list[Any]) -> None:
    back, _ = decode_column(encode_column(values), 0, len(values))
    assert all(np.array_equal(a, b) for a, b in zip(back, values, strict=True))


def test_decoded_arrays_are_writable_and_do_not_overlap() -> None:
    first, second = decode_column(encode_column([np.zeros(2), np.zeros(2)]), 0, 2)[0]
    first[:] = 1
    assert second.tolist() == [0, 0]


@settings(deadline=None)
@given(st.binary(max_size=80), st.integers(1, 9))
def test_noise_is_a_column_or_refused(data: bytes, count: int) -> None:
    try:
        values, end = decode_column(data, 0, count)
    except CodecError:
        return
    assert (len(values), end <= len(data)) == (count, True)


@settings(deadline=None)
@given(COLUMNS.filter(bool), st.integers(0, 400), st.integers(0, 255))
def test_damaged_column_is_a_column_or_refused(values: list[Any], position: int, byte: int) -> None:
    data = bytearray(encode_column(values))
    data[position % len(data)] = byte
    try:
        back, end = decode_column(data, 0, len(values))
    except CodecError:
        return
    assert (len(back), end <= len(data)) == (len(values), True)


@settings(deadline=None)
@given(COLUMNS.filter(bool), st.integers(1, 9))
def test_wrong_number_of_entries_is_refused_or_leaves_data(values: list[Any], more: int) -> None:
    data = encode_column(values)
    try:
        assert decode_column(data, 0, len(values) + more)[1] != len(data)
    except CodecError:
        return


@pytest.mark.parametrize("lengths", [(2**32 - 1,) * 2, (3, 0), (2**31, 2**31)])
def test_arrays_longer_than_the_data_are_refused(lengths: tuple[int, int]) -> None:
    data = bytearray(encode_column([np.zeros(1), np.zeros(1)]))
    struct.pack_into("<2I", data, 1, *lengths)
    with pytest.raises(CodecError):
        decode_column(data, 0, 2)


def test_arrays_that_are_too_large_together_are_refused() -> None:
    with pytest.raises(CodecError, match="together"):
        encode_column([np.zeros(codec.MAX_BYTES // 24)] * 4)


def test_other_types_are_refused() -> None:
    for values in ([object()], [1.0, {1}], [np.array(["x"])] * 2):
        with pytest.raises(CodecError):
            encode_column(values)
