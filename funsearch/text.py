"""Makes text from models, programs and files safe to show. Knows nothing about terminals, pages or databases."""

import re
from collections.abc import Callable

LINE = 300
"""Characters of a quoted message that are shown."""
# Control characters but tab and newline; what has no width or turns the direction of writing; lone surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def escaped(character: str) -> str:
    """Returns a character as a Python string literal spells it, such as `\\x1b`."""
    return repr(character)[1:-1]


def visible(text: str, sign: Callable[[str], str] = escaped) -> str:
    """Returns text with `sign(character)` for each character that is invisible, acts, or changes how others are shown.

    A terminal obeys control characters, and an editor reorders text at direction marks; here they are only shown.
    """
    return _HIDDEN.sub(lambda match: sign(match[0]), text)


def writable(text: str) -> str:
    """Returns text that can be encoded as UTF-8: lone surrogates are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def with_reason(state: str, reason: str) -> str:
    """Returns the state of a run or a training with the reason why it stopped, as in `finished (samples)`."""
    return state if reason in ("", state) else f"{state} ({reason})"


def quoted(text: str) -> str:
    """Returns the message of a program or its evaluator as one quoted line, for a terminal or for Markdown."""
    line = " ".join(visible(text).replace("`", "'").split())
    return f"`{line[:LINE]}{'…' if len(line) > LINE else ''}`"
