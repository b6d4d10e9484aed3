"""Makes what models and programs wrote fit to be shown: nothing in it acts, hides or takes for ever.

Escaping HTML is the templates' business, not this module's.
"""

import difflib

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import DiffLexer, PythonLexer

from funsearch import text as text_filter

MOST_SHOWN = 100_000
"""Characters of a text that are shown; all of it can be had as a plain file."""
MOST_COLOURED = 30_000
"""Characters of code that are highlighted."""
MOST_COMPARED = 1_000
"""Lines of a program that are compared: comparing takes time with their square."""

_FORMATTER = HtmlFormatter(nowrap=True, classprefix="t-")
_PYTHON, _DIFF = PythonLexer(stripnl=False), DiffLexer(stripnl=False)


def visible(text: str) -> str:
    """Returns the text with a sign for every character that would not be seen, or would change how others are."""
    return text_filter.visible(text.replace("\r\n", "\n"), _sign)


def shown(text: str) -> str:
    """Returns as much of the text as is shown, visible."""
    return visible(text[:MOST_SHOWN])


def code(text: str) -> Markup:
    """Returns Python code as HTML, highlighted unless it is very long."""
    return _coloured(shown(text), _PYTHON)


def diff(text: str) -> Markup:
    """Returns a unified diff as HTML, highlighted unless it is very long."""
    return _coloured(shown(text), _DIFF)


def difference(before: str, after: str, names: tuple[str, str]) -> str | None:
    """Returns a unified diff, empty if the two are the same; None if they are too long to be compared here."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MOST_COMPARED:
        return None
    return "\n".join(difflib.unified_diff(old, new, *names, lineterm=""))


def number(value: float | int | None) -> str:
    """Returns a number for people; a dash for none."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _coloured(text: str, lexer: PythonLexer | DiffLexer) -> Markup:
    if len(text) > MOST_COLOURED:
        return escape(text)
    return Markup(highlight(text, lexer, _FORMATTER))


def _sign(character: str) -> str:
    point = ord(character)
    if point < 0x20:
        return chr(0x2400 + point)
    return "\u2421" if point == 0x7F else f"⟨U+{point:04X}⟩"
