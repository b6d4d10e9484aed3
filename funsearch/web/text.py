"""Prepares text written by models and programs for the page: visible, without effect, and limited in length.

The templates escape HTML; this module does not, except where it returns `Markup`.
"""

import difflib

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import DiffLexer, PythonLexer

from funsearch import text as text_filter

MAX_SHOWN = 100_000
"""Characters of a text that are shown; the whole text is available as a plain file."""
MAX_HIGHLIGHTED = 30_000
"""Characters of code that are highlighted."""
MAX_COMPARED = 1_000
"""Lines of a program that are compared: the time to compare two grows with the square of their length."""

_FORMATTER = HtmlFormatter(nowrap=True, classprefix="t-")
_PYTHON, _DIFF = PythonLexer(stripnl=False), DiffLexer(stripnl=False)


def visible(text: str) -> str:
    """Returns the text with a visible symbol for every character that is hidden or changes how others are shown."""
    return text_filter.visible(text.replace("\r\n", "\n"), _symbol)


def shown(text: str) -> str:
    """Returns the part of the text that is shown, with hidden characters made visible."""
    return visible(text[:MAX_SHOWN])


def code(text: str) -> Markup:
    """Returns Python code as HTML, highlighted unless it is very long."""
    return _highlighted(shown(text), _PYTHON)


def diff(text: str) -> Markup:
    """Returns a unified diff as HTML, highlighted unless it is very long."""
    return _highlighted(shown(text), _DIFF)


def difference(before: str, after: str, names: tuple[str, str]) -> str | None:
    """Returns a unified diff, empty if both texts are the same; None if they are too long to be compared here."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MAX_COMPARED:
        return None
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def number(value: float | int | None) -> str:
    """Returns a number in readable form; a dash for None."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _highlighted(text: str, lexer: PythonLexer | DiffLexer) -> Markup:
    if len(text) > MAX_HIGHLIGHTED:
        return escape(text)
    return Markup(highlight(text, lexer, _FORMATTER))


def _symbol(character: str) -> str:
    point = ord(character)
    if point < 0x20:
        return chr(0x2400 + point)
    return "\u2421" if point == 0x7F else f"⟨U+{point:04X}⟩"
