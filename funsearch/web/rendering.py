"""Fills in the templates. Every value is printed as text: escaped, with hidden characters made visible."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from funsearch._version import __version__
from funsearch.web import text


class Pages:
    """The templates of a folder."""

    def __init__(self, folder: Path) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(folder),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "code": text.code,
            "diff": text.diff,
            "shown": text.shown,
            "number": text.number,
            "gain": _gain,
            "day": _day,
            "share": _share,
            "plain": _plain,
            "count": _count,
        }
        self._environment.globals |= {"max_shown": text.MAX_SHOWN, "version": __version__}

    def show(self, template: str, status: int = 200, /, **values: object) -> HTMLResponse:
        """Returns a page."""
        return HTMLResponse(self._environment.get_template(template).render(values), status)


def _printed(value: object) -> object:
    return text.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _gain(value: float | None) -> str:
    return "" if value is None else f"{value:+.6g}"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _count(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _plain(value: object) -> str:
    """Returns plain data as indented JSON."""
    return json.dumps(dict(value) if isinstance(value, Mapping) else value, indent=2, ensure_ascii=False)
