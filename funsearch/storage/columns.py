"""Column types that give back exactly what was put in, on every database.

Knows nothing about the tables they are used in.
"""

import json
import re
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

ESCAPE = "\x1a"
"""SUBSTITUTE: no program needs it, so that stored texts stay readable as they are."""
_UNSTORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED = re.compile(f"{ESCAPE}([0-9a-f]{{4}})")


def escape(text: str) -> str:
    """Returns `text` without NUL (which PostgreSQL refuses) and lone surrogates (which UTF-8 cannot hold).

    Each of them, and the escape character itself, becomes the escape character and four hexadecimal digits.
    """
    return _UNSTORABLE.sub(lambda match: f"{ESCAPE}{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """Returns the text that `escape` was given."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if ESCAPE in text else text


class ExactText(TypeDecorator[str]):
    """Any Python string, whatever a model wrote."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unescape(value)


class Json(TypeDecorator[Any]):
    """Plain data as JSON text: any string, keys in their order, floats to the last bit.

    The databases' own JSON types promise none of these.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        # JSON's own escapes would make one character of two surrogates that stood side by side.
        return escape(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(unescape(value))
