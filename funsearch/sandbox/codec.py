"""Encodes the values that the engine and a candidate exchange: a closed set of plain types, as msgpack.

The types are exactly None, bool, int, float, str, bytes, list, tuple, dict and numeric numpy arrays; numpy scalars
become Python numbers. There is no pickle: decoding creates such values and runs no code of the sender. Knows nothing
about the sender; imports only msgpack and numpy, because the confined worker loads this module as well.
"""

import math
import struct
from collections.abc import Collection
from types import NoneType
from typing import Any

import msgpack
import numpy as np

MAX_BYTES = 32 * 2**20
"""Maximum size of an encoded value."""
MAX_DEPTH = 32
"""Maximum nesting of containers."""
MAX_PARTS = 2**20
"""Maximum number of elements in all containers of a value. Larger data should be an array."""
MAX_ENTRIES = 2**14
"""Maximum number of entries in a dict: with deliberate hash collisions, more would occupy the receiver for minutes."""
MAX_INT_BITS = 8191
MAX_DIMENSIONS = 32

SCALARS = frozenset({NoneType, bool, int, float, str, bytes})
DTYPES = [np.dtype(name) for name in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")]
"""Types of the arrays that can be sent."""
DTYPE_INDEX = {dtype: index for index, dtype in enumerate(DTYPES)}

_TUPLE, _ARRAY, _BIG_INT = 1, 2, 3
_LEAVES = SCALARS | {np.ndarray}
_SMALL_BUFFER = 512


class CodecError(ValueError):
    """Raised for values that cannot be sent, and for malformed data."""


class _TupleMark:
    """The first element of an encoded list that represents a tuple."""


_MARK = _TupleMark()
_ENCODED_MARK = msgpack.ExtType(_TUPLE, b"")


def encode(value: object) -> bytes:
    """Encodes a value.

    Raises:
        CodecError: the value has a part of a type that cannot be sent, or is too deep or too large.
    """
    if type(value) not in SCALARS:
        _check(value)
    try:
        # A new packer's default buffer of 256 KiB would cost more than encoding most values.
        data: bytes = msgpack.packb(
            value, default=_special, strict_types=True, unicode_errors="surrogatepass", buf_size=_SMALL_BUFFER
        )
    except CodecError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"a value that cannot be encoded: {error}") from None
    if len(data) > MAX_BYTES:
        raise CodecError(f"a value of {len(data)} bytes; at most {MAX_BYTES} can be sent")
    return data


def decode(data: bytes | bytearray) -> Any:
    """Decodes a value.

    Raises:
        CodecError: the data cannot be the result of `encode`.
    """
    if len(data) > MAX_BYTES:
        raise CodecError(f"a value of {len(data)} bytes; at most {MAX_BYTES} can be sent")
    builder = _Builder()
    try:
        value = msgpack.unpackb(
            data,
            ext_hook=_extension,
            list_hook=builder.finish_list,
            object_hook=builder.finish_dict,
            strict_map_key=False,
            unicode_errors="surrogatepass",
            max_array_len=MAX_PARTS + 1,
            max_map_len=MAX_ENTRIES,
        )
    except CodecError:
        raise
    # msgpack's exceptions have no common base class; a malformed frame is the sender's error, whatever is raised.
    except Exception as error:
        raise CodecError(f"malformed data: {type(error).__name__}: {error}") from None
    if type(value) not in SCALARS:
        _check(value)
    return value


class _Builder:
    """Creates the tuples of a value while it is decoded, and stops before its parts fill the memory."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = 0

    def finish_list(self, parts: list[object]) -> list[object] | tuple[object, ...]:
        self._count(len(parts))
        return tuple(parts[1:]) if parts and parts[0] is _MARK else parts

    def finish_dict(self, entries: dict[object, object]) -> dict[object, object]:
        self._count(2 * len(entries))
        return entries

    def _count(self, parts: int) -> None:
        self._parts += 1 + parts
        if self._parts > 4 * MAX_PARTS:  # Unlike in `_check`, containers and marks count as well.
            raise CodecError(f"a value of more than {MAX_PARTS} parts")


def _check(value: object) -> None:
    """Refuses a value that has a part of a type that cannot be sent, is nested too deeply, or has too many parts."""
    level: list[Collection[object]] = [(value,)]
    count = 0
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Collection[object]] = []
        for parts in level:
            count += len(parts)
            if count > MAX_PARTS:
                raise CodecError(f"a value of more than {MAX_PARTS} parts")
            if not _LEAVES.issuperset(map(type, parts)):
                deeper += _containers(parts)
        if not deeper:
            return
        level = deeper
    raise CodecError(f"a value nested more than {MAX_DEPTH} levels deep")


def _containers(parts: Collection[Any]) -> list[Collection[object]]:
    """Returns the containers among `parts`, all of which must be of a type that can be sent."""
    containers: list[Collection[object]] = []
    for part in parts:
        kind = type(part)
        if kind is list or kind is tuple:
            containers.append(part)
        elif kind is dict:
            if len(part) > MAX_ENTRIES:
                raise CodecError(f"a dict of {len(part)} entries; at most {MAX_ENTRIES} can be sent")
            containers += (part.keys(), part.values())
        elif kind not in _LEAVES and not (isinstance(part, np.generic) and part.dtype in DTYPE_INDEX):
            raise CodecError(f"a {kind.__name__}; only plain data and numeric arrays can be sent")
    return containers


def _special(part: Any) -> object:
    """Converts a part that msgpack cannot pack to one that it can."""
    kind = type(part)
    if kind is tuple:
        return [_ENCODED_MARK, *part]
    if kind is np.ndarray:
        return msgpack.ExtType(_ARRAY, _pack_array(part))
    if kind is int:
        if part.bit_length() > MAX_INT_BITS:
            raise CodecError(f"an int of {part.bit_length()} bits; at most {MAX_INT_BITS} can be sent")
        return msgpack.ExtType(_BIG_INT, part.to_bytes(part.bit_length() // 8 + 1, "little", signed=True))
    return part.item()


def _extension(code: int, content: bytes) -> object:
    if code == _TUPLE and not content:
        return _MARK
    if code == _ARRAY:
        return _unpack_array(content)
    if code == _BIG_INT and len(content) <= MAX_INT_BITS // 8 + 1:
        return int.from_bytes(content, "little", signed=True)
    raise CodecError(f"malformed data: extension {code} of {len(content)} bytes")


def _pack_array(array: np.ndarray) -> bytes:
    dtype = array.dtype.newbyteorder("=")
    if dtype not in DTYPE_INDEX or array.ndim > MAX_DIMENSIONS:
        raise CodecError(f"an array of {array.dtype} with {array.ndim} dimensions; only numeric arrays can be sent")
    if array.nbytes > MAX_BYTES:
        raise CodecError(f"an array of {array.nbytes} bytes; at most {MAX_BYTES} can be sent")
    header = struct.pack(f"<BB{array.ndim}Q", DTYPE_INDEX[dtype], array.ndim, *array.shape)
    content: bytes = array.astype(dtype, copy=False).tobytes()
    return header + content


def _unpack_array(content: bytes) -> np.ndarray:
    index, dimensions = struct.unpack_from("<BB", content)
    if index >= len(DTYPES) or dimensions > MAX_DIMENSIONS:
        raise CodecError("a malformed array")
    shape = struct.unpack_from(f"<{dimensions}Q", content, 2)
    start = 2 + 8 * dimensions
    dtype = DTYPES[index]
    if math.prod(shape) * dtype.itemsize != len(content) - start:
        raise CodecError("an array whose size does not match its header")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).copy()
