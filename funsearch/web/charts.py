"""Lays out line and area charts for the macro `chart`: ticks, paths, bands, and a table with the same values.

Knows nothing about runs. The server draws charts as SVG, so that a browser needs neither a script nor a library for
them (docs/design/page.md).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 230
LEFT, RIGHT, TOP, BOTTOM = 58, 10, 8, 26
TABLE_ROWS = 10
"""Rows of the table beside a chart."""

Point = tuple[float, float | None]
"""None interrupts a line until the next point that has a value."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line or band."""

    label: str
    points: Sequence[Point]
    errors: Sequence[float] = ()
    """Half the length of the error bar at each point; if given, every point has a value."""


@dataclass(frozen=True, slots=True)
class Path:
    """A series, laid out."""

    label: str
    colour: int
    """Number of the CSS class for the colour and, on lines, the dashes."""
    data: str
    """SVG path data."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, laid out for its template."""

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
    """The first row holds the column heads."""
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
    """Returns a line chart.

    Args:
        id: of the element; unique on a page.
        title: of the chart.
        x_label: of the horizontal axis.
        series: the lines, each with its points in ascending order.
        marks: positions on the horizontal axis where something happened.
        mark_label: what happened there.
        low: lower end of the vertical axis; by default near the lowest value.
        stepped: whether a value holds until the next one instead of changing steadily.
    """
    x, y = _horizontal_axis(series), _vertical_axis(series, low)
    paths = tuple(
        Path(line.label, number, _line(line.points, x, y, stepped) + _error_bars(line, x, y))
        for number, line in enumerate(series)
    )
    places = tuple(x.place(mark) for mark in marks)
    return _chart(id, title, series, paths, _Axes(x, y, x_label), marks=places, mark_label=mark_label)


def areas(id: str, title: str, x_label: str, series: Sequence[Series]) -> Chart:
    """Returns a chart of shares stacked on each other, from 0 to 100 %; all series have the same positions."""
    x = _horizontal_axis(series)
    y = Axis(0.0, 100.0, 25.0, HEIGHT - BOTTOM, TOP)
    paths, below = [], [0.0] * (len(series[0].points) if series else 0)
    for number, band in enumerate(series):
        above = [low + (value or 0.0) for low, (_, value) in zip(below, band.points, strict=True)]
        places = [x.place(at) for at, _ in band.points]
        upper = [f"{at:.1f} {y.place(v):.1f}" for at, v in zip(places, above, strict=True)]
        lower = [f"{at:.1f} {y.place(v):.1f}" for at, v in zip(places, below, strict=True)]
        paths.append(Path(band.label, number, "M" + "L".join(upper + lower[::-1]) + "Z"))
        below = above
    return _chart(id, title, series, tuple(paths), _Axes(x, y, x_label), filled=True)


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to positions: `low` to `start`, `high` to `end`."""

    low: float
    high: float
    step: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Returns the position of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self) -> tuple[Tick, ...]:
        """Returns the marks of the axis."""
        first = math.ceil(self.low / self.step - 1e-9)
        count = math.floor((self.high - first * self.step) / self.step + 1e-9)
        values = [(first + n) * self.step for n in range(count + 1)]
        return tuple(Tick(self.place(value), _short(value)) for value in values)


@dataclass(frozen=True, slots=True)
class _Axes:
    x: Axis
    y: Axis
    x_label: str


def _horizontal_axis(series: Sequence[Series]) -> Axis:
    high = max((at for line in series for at, _ in line.points), default=0.0) or 1.0
    return Axis(0.0, high, _step(high), LEFT, WIDTH - RIGHT)


def _vertical_axis(series: Sequence[Series], low: float | None) -> Axis:
    values = [value for line in series for _, value in (*line.points, *_error_ends(line)) if value is not None]
    bottom = min(values, default=0.0) if low is None else low
    top = max(values, default=1.0)
    # Values that differ by less than floats can resolve are drawn as equal.
    if top - bottom <= max(1e-12 * max(abs(bottom), abs(top)), 1e-300):
        margin = max(0.5, 1e-6 * abs(bottom))
        bottom, top = (bottom - margin if low is None else bottom), bottom + margin
    step = _step(top - bottom)
    return Axis(math.floor(bottom / step) * step, math.ceil(top / step) * step, step, HEIGHT - BOTTOM, TOP)


def _step(span: float) -> float:
    """Returns a round distance that fits three to six times into the span."""
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    return power * min((1, 2, 2.5, 5, 10), key=lambda factor: abs(math.log(rough / (power * factor))))


def _short(value: float) -> str:
    """Returns a number in a few characters."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (suffix != "k" and abs(value) >= size):
            return f"{value / size:.6g}{suffix}"
    return f"{value:.6g}" if abs(value) > 1e-12 else "0"


def _line(points: Sequence[Point], x: Axis, y: Axis, stepped: bool) -> str:
    """Returns the path of a line, which starts again after a point without a value."""
    parts: list[str] = []
    drawing = False
    previous = 0.0
    for at, value in points:
        if value is None:
            drawing = False
            continue
        position = f"{x.place(at):.1f} {y.place(value):.1f}"
        if drawing and stepped:
            parts.append(f"L{x.place(at):.1f} {previous:.1f}")
        parts.append(("L" if drawing else "M") + position)
        drawing, previous = True, y.place(value)
    return "".join(parts)


def _error_ends(series: Series) -> list[tuple[float, float]]:
    """Returns both ends of every error bar."""
    pairs = zip(series.points, series.errors, strict=False)
    return [(at, value + sign * error) for (at, value), error in pairs if value is not None for sign in (-1, 1)]


def _error_bars(series: Series, x: Axis, y: Axis) -> str:
    ends = [f"{x.place(at):.1f} {y.place(value):.1f}" for at, value in _error_ends(series)]
    return "".join(f"M{low}L{high}" for low, high in zip(ends[::2], ends[1::2], strict=True))


def _chart(
    id: str,
    title: str,
    series: Sequence[Series],
    paths: tuple[Path, ...],
    axes: _Axes,
    *,
    marks: tuple[float, ...] = (),
    mark_label: str = "",
    filled: bool = False,
) -> Chart:
    table = _table(axes.x_label, series)
    return Chart(
        id=id,
        title=title,
        x_label=axes.x_label,
        paths=paths,
        filled=filled,
        x_ticks=axes.x.ticks(),
        y_ticks=axes.y.ticks(),
        marks=marks,
        mark_label=mark_label,
        table=table,
        summary=_summary(title, table) + (f" Marked {mark_label}: {len(marks)}." if marks else ""),
    )


def _summary(title: str, table: Sequence[Sequence[str]]) -> str:
    """Returns the last values of a chart as a sentence."""
    if len(table) < 2:
        return f"{title}: no values yet."
    (x_label, *labels), (at, *values) = table[0], table[-1]
    ends = [f"{label}: {value}" for label, value in zip(labels, values, strict=True)]
    return f"{title} at {x_label} = {at}: {'; '.join(ends)}."


def _table(x_label: str, series: Sequence[Series]) -> tuple[tuple[str, ...], ...]:
    """Returns up to `TABLE_ROWS` rows of values, including the first and the last, below the column heads."""
    places = sorted({at for line in series for at, _ in line.points})
    steps = range(TABLE_ROWS) if places else range(0)
    chosen = {places[round(n * (len(places) - 1) / (TABLE_ROWS - 1))] for n in steps}
    columns = [dict(line.points) for line in series]
    rows = [(f"{at:,.6g}", *(_cell(column.get(at)) for column in columns)) for at in sorted(chosen)]
    return ((x_label, *(line.label for line in series)), *rows)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
