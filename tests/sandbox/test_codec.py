"""The codec: decoding restores values of a closed set of types, other types are refused, and noise is harmless."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funsearch.sandbox.codec import CodecError, decode, encode

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(-99, 99), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(a: object, b: object) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and isinstance(b, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


@given(values)
def test_decoding_restores_values_and_their_types(value: object) -> None:
    assert same(decode(encode(value)), value)


@given(st.binary(max_size=200))
def test_noise_is_a_value_or_refused(data: bytes) -> None:
    try:
        decode(data)
    except CodecError:
        return


@given(values, st.integers(0, 400), st.integers(0, 255))
def test_damaged_data_is_a_value_or_refused(value: object, position: int, byte: int) -> None:
    data = bytearray(encode(value))
    data[position % len(data)] = byte
    try:
        decode(bytes(data))
    except CodecError:
        return


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_decoding_restores_arrays(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    back = decode(encode(array))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert (back == array).all()


def test_numpy_scalars_become_python_numbers() -> None:
    assert [type(decode(encode(x))) for x in (np.float32(1), np.int64(2), np.bool_(True))] == [float, int, bool]


class Sneaky(int):
    pass


@pytest.mark.parametrize(
    "value",
    [
        {1},
        object(),
        Sneaky(1),
        1j,
        np.array(["x"]),
        np.array([object()]),
        1 << 9000,
        print,
        int,
        range(3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(CodecError):
        encode(value)


@pytest.mark.parametrize("kind", [list, tuple])
def test_deep_nesting_is_refused(kind: type) -> None:
    value: object = 1
    for _ in range(2000):
        value = kind([value])
    with pytest.raises(CodecError):
        encode(value)
