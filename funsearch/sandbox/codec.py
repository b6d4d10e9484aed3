"""What crosses the boundary, and how: a closed set of plain values as msgpack.

None, bool, int, float, str, bytes, list, tuple, dict and numeric numpy arrays, of exactly these types; numpy scalars
become Python's. No pickle: decoding builds such values and runs nothing. Stands on msgpack and numpy alone, because
the confined worker loads it too.
"""

import math
from typing import Any

import msgpack
import numpy as np

MAX_BYTES = 64 * 1024 * 1024
"""Of one value, encoded."""
MAX_DEPTH = 32
_TUPLE, _ARRAY, _BIG_INT = 1, 2, 3
_DTYPES = {char: np.dtype(char) for char in "?bBhHiIlLqQefd"}
_MAX_INT_BYTES = 1024


class CodecError(ValueError):
    """Raised for what does not cross, or is no well-formed value."""


def encode(value: Any) -> bytes:
    """Returns a value as bytes.

    Raises:
        CodecError: a part of it is of a type that does not cross, too deep or too large.
    """
    try:
        data = _pack(value, 0)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CodecError(str(error)) from None
    if len(data) > MAX_BYTES:
        raise CodecError(f"a value of {len(data)} bytes; at most {MAX_BYTES} cross")
    return data


def decode(data: bytes) -> Any:
    """Returns the value that the bytes stand for.

    Raises:
        CodecError: they are not what `encode` makes.
    """
    try:
        return _unpack(data, 0)
    except CodecError:
        raise
    # msgpack's own errors derive from ValueError, but not all; a malformed frame is never our fault.
    except Exception as error:
        raise CodecError(f"malformed: {type(error).__name__}: {error}") from None


def _pack(value: Any, depth: int) -> bytes:
    def other(part: Any) -> Any:
        kind = type(part)
        if kind is tuple:
            if depth >= MAX_DEPTH:
                raise CodecError("nested too deeply")
            return msgpack.ExtType(_TUPLE, _pack(list(part), depth + 1))
        if kind is np.ndarray:
            return msgpack.ExtType(_ARRAY, _pack_array(part))
        if isinstance(part, np.generic) and part.dtype.char in _DTYPES:
            return part.item()
        if kind is int:
            return msgpack.ExtType(_BIG_INT, _pack_int(part))
        raise CodecError(f"a {kind.__name__} does not cross; plain data and numeric arrays do")

    packed: bytes = msgpack.packb(value, default=other, strict_types=True, unicode_errors="surrogatepass")
    return packed


def _pack_array(array: Any) -> bytes:
    if array.dtype.char not in _DTYPES or array.ndim > MAX_DEPTH:
        raise CodecError(f"an array of {array.dtype} does not cross; numeric ones do")
    return bytes(msgpack.packb((array.dtype.char, array.shape, array.tobytes())))


def _pack_int(value: int) -> bytes:
    if value.bit_length() > 8 * _MAX_INT_BYTES - 1:
        raise CodecError("an integer too large to cross")
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


def _unpack(data: bytes, depth: int) -> Any:
    def extension(code: int, inner: bytes) -> Any:
        if code == _TUPLE:
            if depth >= MAX_DEPTH:
                raise CodecError("nested too deeply")
            parts = _unpack(inner, depth + 1)
            if type(parts) is not list:
                raise CodecError("malformed tuple")
            return tuple(parts)
        if code == _ARRAY:
            return _unpack_array(inner)
        if code == _BIG_INT:
            return int.from_bytes(inner[:_MAX_INT_BYTES], "little", signed=True)
        raise CodecError(f"malformed: extension {code}")

    return msgpack.unpackb(data, ext_hook=extension, strict_map_key=False, unicode_errors="surrogatepass", timestamp=0)


def _unpack_array(inner: bytes) -> Any:
    char, shape, content = msgpack.unpackb(inner)
    dtype = _DTYPES.get(char)
    if dtype is None or any(type(size) is not int or size < 0 for size in shape):
        raise CodecError("malformed array")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise CodecError("an array of another size than it says")
    return np.frombuffer(content, dtype).reshape(shape).copy()
