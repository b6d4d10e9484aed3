"""What crosses the boundary, and how: a closed set of plain values as msgpack.

None, bool, int, float, str, bytes, list, tuple, dict and numeric numpy arrays, of exactly these types; numpy scalars
become Python's. No pickle: decoding builds such values and runs nothing of the sender's. Knows nothing about who sends;
stands on msgpack and numpy alone, because the confined worker loads it too.
"""

import math
import struct
from types import NoneType
from typing import Any

import msgpack
import numpy as np

MAX_BYTES = 32 * 2**20
"""Of one value, encoded."""
MAX_DEPTH = 32
MAX_PARTS = 2**20
"""Elements of all containers of one value together. What is longer belongs into an array."""
MAX_ENTRIES = 2**14
"""Of one dictionary: with keys that collide on purpose, more would keep the receiver busy for minutes."""
MAX_INT_BITS = 8191
MAX_DIMENSIONS = 32

SCALARS = frozenset({NoneType, bool, int, float, str, bytes})
DTYPES = [np.dtype(name) for name in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")]
"""Of the arrays that cross."""
DTYPE_INDEX = {dtype: index for index, dtype in enumerate(DTYPES)}

_TUPLE, _ARRAY, _BIG_INT = 1, 2, 3
_LEAVES = SCALARS | {np.ndarray}
_SMALL_BUFFER = 512


class CodecError(ValueError):
    """Raised for what does not cross, or is no well-formed value."""


class _TupleMark:
    """Stands first in an encoded list that is to become a tuple."""


_MARK = _TupleMark()
_ENCODED_MARK = msgpack.ExtType(_TUPLE, b"")


def encode(value: Any) -> bytes:
    """Returns a value as bytes.

    Raises:
        CodecError: a part of it is of a type that does not cross, too deep or too large.
    """
    if type(value) not in SCALARS:
        _check(value)
    try:
        # A fresh packer's own buffer of 256 KiB would cost more than most values.
        data: bytes = msgpack.packb(
            value, default=_special, strict_types=True, unicode_errors="surrogatepass", buf_size=_SMALL_BUFFER
        )
    except CodecError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(f"it cannot be encoded: {error}") from None
    if len(data) > MAX_BYTES:
        raise CodecError(f"a value of {len(data)} bytes; at most {MAX_BYTES} cross")
    return data


def decode(data: bytes | bytearray) -> Any:
    """Returns the value that the bytes stand for.

    Raises:
        CodecError: they are not what `encode` makes.
    """
    if len(data) > MAX_BYTES:
        raise CodecError(f"a value of {len(data)} bytes; at most {MAX_BYTES} cross")
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
    # msgpack's own errors share no base class; a malformed frame is the sender's fault, whatever it raises.
    except Exception as error:
        raise CodecError(f"malformed: {type(error).__name__}: {error}") from None
    if type(value) not in SCALARS:
        _check(value)
    return value


class _Builder:
    """Makes tuples while a value is decoded, and stops before its parts fill the memory."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = 0

    def finish_list(self, parts: list[Any]) -> list[Any] | tuple[Any, ...]:
        self._count(len(parts))
        return tuple(parts[1:]) if parts and parts[0] is _MARK else parts

    def finish_dict(self, entries: dict[Any, Any]) -> dict[Any, Any]:
        self._count(2 * len(entries))
        return entries

    def _count(self, parts: int) -> None:
        self._parts += 1 + parts
        if self._parts > 4 * MAX_PARTS:  # each container counts, and each mark, which in `_check` they do not
            raise CodecError(f"more than {MAX_PARTS} parts")


def _check(value: Any) -> None:
    """Refuses a value with a part that does not cross, nested too deeply, or of too many parts."""
    level: list[Any] = [(value,)]
    count = 0
    for _ in range(MAX_DEPTH + 1):
        deeper: list[Any] = []
        for parts in level:
            count += len(parts)
            if count > MAX_PARTS:
                raise CodecError(f"more than {MAX_PARTS} parts")
            if not _LEAVES.issuperset(map(type, parts)):
                deeper += _containers(parts)
        if not deeper:
            return
        level = deeper
    raise CodecError(f"nested more than {MAX_DEPTH} deep")


def _containers(parts: Any) -> list[Any]:
    """Returns what has parts of its own among `parts`, all of which must be of a type that crosses."""
    found: list[Any] = []
    for part in parts:
        kind = type(part)
        if kind is list or kind is tuple:
            found.append(part)
        elif kind is dict:
            if len(part) > MAX_ENTRIES:
                raise CodecError(f"a dict of {len(part)} entries; at most {MAX_ENTRIES} cross")
            found += (part.keys(), part.values())
        elif kind not in _LEAVES and not (isinstance(part, np.generic) and part.dtype in DTYPE_INDEX):
            raise CodecError(f"a {kind.__name__}; plain data and numeric arrays cross")
    return found


def _special(part: Any) -> Any:
    """Returns what msgpack can pack in place of what it cannot."""
    kind = type(part)
    if kind is tuple:
        return [_ENCODED_MARK, *part]
    if kind is np.ndarray:
        return msgpack.ExtType(_ARRAY, _pack_array(part))
    if kind is int:
        if part.bit_length() > MAX_INT_BITS:
            raise CodecError(f"an int of {part.bit_length()} bits; at most {MAX_INT_BITS} cross")
        return msgpack.ExtType(_BIG_INT, part.to_bytes(part.bit_length() // 8 + 1, "little", signed=True))
    return part.item()


def _extension(code: int, content: bytes) -> Any:
    if code == _TUPLE and not content:
        return _MARK
    if code == _ARRAY:
        return _unpack_array(content)
    if code == _BIG_INT and len(content) <= MAX_INT_BITS // 8 + 1:
        return int.from_bytes(content, "little", signed=True)
    raise CodecError(f"malformed: extension {code} of {len(content)} bytes")


def _pack_array(array: Any) -> bytes:
    dtype = array.dtype.newbyteorder("=")
    if dtype not in DTYPE_INDEX or array.ndim > MAX_DIMENSIONS:
        raise CodecError(f"an array of {array.dtype} with {array.ndim} dimensions; numeric ones cross")
    if array.nbytes > MAX_BYTES:
        raise CodecError(f"an array of {array.nbytes} bytes; at most {MAX_BYTES} cross")
    header = struct.pack(f"<BB{array.ndim}Q", DTYPE_INDEX[dtype], array.ndim, *array.shape)
    content: bytes = array.astype(dtype, copy=False).tobytes()
    return header + content


def _unpack_array(content: bytes) -> Any:
    index, dimensions = struct.unpack_from("<BB", content)
    if index >= len(DTYPES) or dimensions > MAX_DIMENSIONS:
        raise CodecError("malformed array")
    shape = struct.unpack_from(f"<{dimensions}Q", content, 2)
    start = 2 + 8 * dimensions
    dtype = DTYPES[index]
    if math.prod(shape) * dtype.itemsize != len(content) - start:
        raise CodecError("an array of another size than it says")
    return np.frombuffer(content, dtype, offset=start).reshape(shape).copy()
