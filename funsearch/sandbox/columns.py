"""Encodes the arguments or results of many calls as columns: one column per argument, one entry per call.

A column of floats, ints, bools, or one-dimensional arrays of the same type is encoded as one block, any other as a
value of the codec. A column does not contain the number of its entries, which the reader has to know. Knows nothing
about the sender.
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
"""Kind of a column of arrays of the codec's first type; the other types follow."""
_OTHER = 255


def encode_column(values: list[Any]) -> bytes:
    """Encodes the entries of a column.

    Raises:
        CodecError: an entry cannot be sent, or the entries are too large together.
    """
    kinds = set(map(type, values))
    if len(kinds) == 1:
        (kind,) = kinds
        if kind in _SCALARS:
            try:
                return _SCALAR_KINDS[kind] + struct.pack(f"<{len(values)}{_SCALARS[kind]}", *values)
            except struct.error:  # An int has more than 64 bits.
                pass
        elif kind is np.ndarray and (dtype := _common_type(values)) is not None:
            lengths = struct.pack(f"<B{len(values)}I", _FIRST_ARRAY + codec.DTYPE_INDEX[dtype], *map(len, values))
            return _limited(b"".join([lengths, *map(np.ndarray.tobytes, values)]))
    data = codec.encode(values)
    return b"".join([bytes([_OTHER]), _SIZE.pack(len(data)), data])


def decode_column(data: bytes | bytearray, start: int, count: int) -> tuple[Sequence[object], int]:
    """Decodes the column that begins at `start`; returns its entries and the position of its end.

    Raises:
        CodecError: the data is not a column of `count` entries.
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
                raise CodecError(f"malformed data: not {count} entries")
            return values, end
        if not 0 <= kind - _FIRST_ARRAY < len(codec.DTYPES):
            raise CodecError(f"malformed data: a column of kind {kind}")
        return _decode_arrays(codec.DTYPES[kind - _FIRST_ARRAY], data, start + 1, count)
    except CodecError:
        raise
    except (struct.error, IndexError, TypeError, ValueError) as error:  # The data is truncated.
        raise CodecError(f"a malformed column: {error}") from None


def _common_type(arrays: list[np.ndarray]) -> np.dtype | None:
    """Returns the common type of one-dimensional arrays if the codec supports it, else None."""
    dtype = arrays[0].dtype
    for array in arrays:
        if array.ndim != 1 or array.dtype != dtype:
            return None
    return dtype if dtype in codec.DTYPE_INDEX else None


def _decode_arrays(dtype: np.dtype, data: bytes | bytearray, start: int, count: int) -> tuple[list[np.ndarray], int]:
    lengths = struct.unpack_from(f"<{count}I", data, start)
    start += 4 * count
    total = sum(lengths)
    joined = np.ndarray(total, dtype, data, start).copy()
    ends = itertools.accumulate(lengths)
    arrays = [joined[end - length : end] for length, end in zip(lengths, ends, strict=True)]
    return arrays, start + joined.nbytes


def _limited(data: bytes) -> bytes:
    if len(data) > codec.MAX_BYTES:
        raise CodecError(f"arrays of {len(data)} bytes together; at most {codec.MAX_BYTES} can be sent")
    return data
