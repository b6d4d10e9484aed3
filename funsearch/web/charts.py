"""Lays out line and area charts for `chart.html`: ticks, lines, bands and a table that says the same in words.

Knows nothing about runs. A chart is drawn by the server as SVG, so that it needs no script and no library in the
browser (docs/design/page.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 8, 26
ROWS = 10
"""Rows of the table beside a chart."""

Point = tuple[float, float | None]
"""None ends a line: it goes on at the next point that has a value."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line or band."""

    label: str
    points: Sequence[Point]
    errors: Sequence[float] = ()
    """How far each point may be off, if that is known; every point has a value then."""


@dataclass(frozen=True, slots=True)
class Path:
    """A series laid out."""

    label: str
    colour: int
    """Class of the colour and, for lines, of the dashes."""
    data: str
    """SVG path data."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart laid out, ready for its template."""

    id: str
    title: str
    x_label: str
    paths: tuple[Path, ...]
    filled: bool
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[float, ...]
    mark_label: str
    table: tuple[tuple[str, ...], ...]
    """The first row has the heads."""
    summary: str

    width, height = WIDTH, HEIGHT
    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM


def lines(
    id: str,
    title: str,
    x_label: str,
    series: Sequence[Series],
    *,
    marks: Sequence[float] = (),
    mark_label: str = "",
    low: float | None = None,
    stepped: bool = False,
) -> Chart:
    """Returns a chart of lines.

    Args:
        id: of the element; unique on a page.
        title: what is drawn.
        x_label: what lies along the horizontal axis.
        series: the lines; their points ascend.
        marks: places on the horizontal axis where something happened.
        mark_label: what happened there.
        low: where the vertical axis begins; by default near the lowest value.
        stepped: whether a value lasts until the next one, rather than changing steadily.
    """
    x, y = _across(series), _up(series, low)
    paths = tuple(Path(s.label, n, _line(s.points, x, y, stepped) + _whiskers(s, x, y)) for n, s in enumerate(series))
    return _chart(id, title, x_label, series, paths, x, y, [x.place(mark) for mark in marks], mark_label)


def areas(id: str, title: str, x_label: str, series: Sequence[Series]) -> Chart:
    """Returns a chart of shares stacked on each other, from 0 to 100 %; all series have the same places."""
    x = _across(series)
    y = Axis(0.0, 100.0, 25.0, HEIGHT - BOTTOM, TOP)
    paths, below = [], [0.0] * (len(series[0].points) if series else 0)
    for number, one in enumerate(series):
        above = [low + (value or 0.0) for low, (_, value) in zip(below, one.points, strict=True)]
        places = [x.place(at) for at, _ in one.points]
        upper = [f"{at:.1f} {y.place(v):.1f}" for at, v in zip(places, above, strict=True)]
        lower = [f"{at:.1f} {y.place(v):.1f}" for at, v in zip(places, below, strict=True)]
        paths.append(Path(one.label, number, "M" + "L".join(upper + lower[::-1]) + "Z"))
        below = above
    return _chart(id, title, x_label, series, tuple(paths), x, y, filled=True)


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values go: `low` to `start`, `high` to `end`."""

    low: float
    high: float
    step: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Returns where a value goes."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self) -> tuple[Tick, ...]:
        """Returns the marks."""
        first = math.ceil(self.low / self.step - 1e-9)
        count = math.floor((self.high - first * self.step) / self.step + 1e-9)
        values = [(first + n) * self.step for n in range(count + 1)]
        return tuple(Tick(self.place(value), _short(value)) for value in values)


def _across(series: Sequence[Series]) -> Axis:
    most = max((at for one in series for at, _ in one.points), default=0.0)
    return Axis(0.0, most or 1.0, _step(most or 1.0), LEFT, WIDTH - RIGHT)


def _up(series: Sequence[Series], low: float | None) -> Axis:
    values = [value for one in series for _, value in (*one.points, *_ends(one)) if value is not None]
    least = min(values, default=0.0) if low is None else low
    most = max(values, default=1.0)
    # Numbers that differ by less than a float can be told apart by are drawn as equal.
    if most - least <= max(1e-12 * max(abs(least), abs(most)), 1e-300):
        pad = max(0.5, 1e-6 * abs(least))
        least, most = (least - pad if low is None else least), least + pad
    step = _step(most - least)
    return Axis(math.floor(least / step) * step, math.ceil(most / step) * step, step, HEIGHT - BOTTOM, TOP)


def _step(span: float) -> float:
    """Returns a round distance that goes three to six times into the span."""
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return power * min((1, 2, 2.5, 5, 10), key=lambda factor: abs(math.log(rough / (power * factor))))


def _short(value: float) -> str:
    """Returns a number in a few characters."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (sign != "k" and abs(value) >= size):
            return f"{value / size:.6g}{sign}"
    return f"{value:.6g}" if abs(value) > 1e-12 else "0"


def _line(points: Sequence[Point], x: Axis, y: Axis, stepped: bool) -> str:
    """Returns the path of a line; it starts anew after a point without a value."""
    parts: list[str] = []
    down = False
    before = 0.0
    for at, value in points:
        if value is None:
            down = False
            continue
        here = f"{x.place(at):.1f} {y.place(value):.1f}"
        if down and stepped:
            parts.append(f"L{x.place(at):.1f} {before:.1f}")
        parts.append(("L" if down else "M") + here)
        down, before = True, y.place(value)
    return "".join(parts)


def _ends(series: Series) -> list[tuple[float, float]]:
    """Returns both ends of every whisker."""
    pairs = zip(series.points, series.errors, strict=False)
    return [(at, value + sign * error) for (at, value), error in pairs if value is not None for sign in (-1, 1)]


def _whiskers(series: Series, x: Axis, y: Axis) -> str:
    ends = [f"{x.place(at):.1f} {y.place(value):.1f}" for at, value in _ends(series)]
    return "".join(f"M{low}L{high}" for low, high in zip(ends[::2], ends[1::2], strict=True))


def _chart(
    id: str,
    title: str,
    x_label: str,
    series: Sequence[Series],
    paths: tuple[Path, ...],
    x: Axis,
    y: Axis,
    marks: Sequence[float] = (),
    mark_label: str = "",
    filled: bool = False,
) -> Chart:
    table = _table(x_label, series)
    ends = [f"{one.label} {table[-1][n]}" for n, one in enumerate(series, 1)] if len(table) > 1 else []
    at = f" at {table[-1][0]} {x_label}" if ends else ""
    summary = f"{title}{at}: {', '.join(ends) or 'nothing yet'}." + (f" {len(marks)} {mark_label}." if marks else "")
    return Chart(id, title, x_label, paths, filled, x.ticks(), y.ticks(), tuple(marks), mark_label, table, summary)


def _table(x_label: str, series: Sequence[Series]) -> tuple[tuple[str, ...], ...]:
    """Returns a few rows of the values, the first and the last among them."""
    places = sorted({at for one in series for at, _ in one.points})
    chosen = {places[round(n * (len(places) - 1) / (ROWS - 1))] for n in range(ROWS)} if places else set()
    values = [dict(one.points) for one in series]
    rows = [(f"{at:,.6g}", *(_cell(of.get(at)) for of in values)) for at in sorted(chosen)]
    return ((x_label, *(one.label for one in series)), *rows)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
