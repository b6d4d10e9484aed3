"""The arguments of many calls, or their results: a column for each argument, one entry for each call.

A column of floats, of ints, of bools, or of arrays of one dimension and one type is written as one block; any other as
a value of the codec. Knows nothing about who sends. The number of entries is not in a column: its reader knows it.
"""

import itertools
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from funsearch.sandbox import codec
from funsearch.sandbox.codec import CodecError

_SIZE = struct.Struct("<I")
_SCALARS = {float: "d", int: "q", bool: "?"}
_SCALAR_KINDS = {kind: bytes([index]) for index, kind in enumerate(_SCALARS)}
_SCALAR_FORMATS = list(_SCALARS.values())
_FIRST_ARRAY = 16
"""Kind of a column of arrays of the codec's first type; the kinds of the others follow."""
_OTHER = 255


def encode_column(values: list[Any]) -> bytes:
    """Returns the entries of a column as bytes.

    Raises:
        CodecError: one of them does not cross, or they are too large together.
    """
    kinds = set(map(type, values))
    if len(kinds) == 1:
        (kind,) = kinds
        if kind in _SCALARS:
            try:
                return _SCALAR_KINDS[kind] + struct.pack(f"<{len(values)}{_SCALARS[kind]}", *values)
            except struct.error:  # an int of more than 64 bits
                pass
        elif kind is np.ndarray and (dtype := _common_type(values)) is not None:
            lengths = struct.pack(f"<B{len(values)}I", _FIRST_ARRAY + codec.DTYPE_INDEX[dtype], *map(len, values))
            return _limited(b"".join([lengths, *map(np.ndarray.tobytes, values)]))
    data = codec.encode(values)
    return b"".join([bytes([_OTHER]), _SIZE.pack(len(data)), data])


def decode_column(data: bytes | bytearray, start: int, count: int) -> tuple[Sequence[Any], int]:
    """Returns the entries of the column that starts there, and where it ends.

    Raises:
        CodecError: it is no column of `count` entries.
    """
    try:
        kind = data[start]
        if kind < len(_SCALAR_FORMATS):
            block = struct.Struct(f"<{count}{_SCALAR_FORMATS[kind]}")
            return block.unpack_from(data, start + 1), start + 1 + block.size
        if kind == _OTHER:
            (size,) = _SIZE.unpack_from(data, start + 1)
            start += 1 + _SIZE.size
            end = start + size
            values = codec.decode(data[start:end])
            if type(values) is not list or len(values) != count or end > len(data):
                raise CodecError(f"malformed: not {count} entries")
            return values, end
        if not 0 <= kind - _FIRST_ARRAY < len(codec.DTYPES):
            raise CodecError(f"malformed: a column of kind {kind}")
        return _decode_arrays(codec.DTYPES[kind - _FIRST_ARRAY], data, start + 1, count)
    except CodecError:
        raise
    except (struct.error, IndexError, TypeError, ValueError) as error:  # shorter than it says
        raise CodecError(f"malformed column: {error}") from None


def _common_type(arrays: list[Any]) -> Any:
    """Returns the type of arrays that have one dimension and one type of the codec, else None."""
    dtype = arrays[0].dtype
    for array in arrays:
        if array.ndim != 1 or array.dtype != dtype:
            return None
    return dtype if dtype in codec.DTYPE_INDEX else None


def _decode_arrays(dtype: Any, data: bytes | bytearray, start: int, count: int) -> tuple[list[Any], int]:
    lengths = struct.unpack_from(f"<{count}I", data, start)
    start += 4 * count
    total = sum(lengths)
    joined = np.ndarray(total, dtype, data, start).copy()
    ends = itertools.accumulate(lengths)
    arrays = [joined[end - length : end] for length, end in zip(lengths, ends, strict=True)]
    return arrays, start + joined.nbytes


def _limited(data: bytes) -> bytes:
    if len(data) > codec.MAX_BYTES:
        raise CodecError(f"arrays of {len(data)} bytes together; at most {codec.MAX_BYTES} cross")
    return data
