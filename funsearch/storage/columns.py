"""Column types that return exactly the value that was stored, on every database.

Knows nothing about the tables that use them.
"""

import json
import re

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

ESCAPE = "\x1a"
"""The escape character: SUBSTITUTE, which programs do not use, so that stored texts stay readable."""
_UNSTORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_ESCAPED = re.compile(f"{ESCAPE}([0-9a-f]{{4}})")


def escape(text: str) -> str:
    """Returns `text` without NUL (which PostgreSQL refuses) and lone surrogates (which UTF-8 cannot encode).

    Each of them, and the escape character itself, becomes the escape character and four hexadecimal digits.
    """
    return _UNSTORABLE.sub(lambda match: f"{ESCAPE}{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """Returns the text that was passed to `escape`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if ESCAPE in text else text


class ExactText(TypeDecorator[str]):
    """Any Python string, including characters that a database cannot store."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unescape(value)


class Json(TypeDecorator[object]):
    """JSON data as text: any string, keys in their order, floats to the last bit.

    The JSON types of the databases do not guarantee this.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        if value is None:
            return None
        # JSON's own escapes would turn two adjacent surrogates into one character.
        return escape(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        return None if value is None else json.loads(unescape(value))
