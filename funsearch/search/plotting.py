"""Plots a run: scores over samples with the resets of islands, and the shares of evaluation statuses.

Knows nothing about files, nor where the points come from.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from funsearch.core.records import Point, Reset, Status
from funsearch.errors import FunsearchError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""The palette of Okabe and Ito, which colour-blind people can distinguish."""
MAX_DOTS = 20_000
"""Most programs drawn as dots; of more programs, every n-th is drawn."""
SLICES = 60
"""Number of slices of a run for which the shares of statuses are computed."""
MAX_STATUSES = 6
"""Most statuses drawn separately; the rarer ones are drawn together."""


def blank(width: float, height: float) -> "Figure":
    """Returns an empty picture of the given size in inches.

    Raises:
        FunsearchError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise FunsearchError("Plots need matplotlib: pip install 'funsearch[plot]'.") from None
    return Figure(figsize=(width, height), layout="constrained", dpi=150)


def plot(name: str, points: Sequence[Point], resets: Iterable[Reset]) -> "Figure":
    """Returns a picture of a run.

    Args:
        name: of the run, for the title.
        points: of the run, in order.
        resets: of the run's islands.

    Raises:
        FunsearchError: matplotlib is not installed.
    """
    figure = blank(9, 7)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    _draw_scores(upper, points, resets)
    _draw_statuses(lower, points)
    upper.set_title(f"{name}: {len(points) - 1:,} samples")
    lower.set_xlabel("samples")
    return figure


def _draw_scores(axes: "Axes", points: Sequence[Point], resets: Iterable[Reset]) -> None:
    scored = [(p.program, p.score, p.island) for p in points if p.score is not None and not p.duplicate]
    if not scored:
        axes.text(0.5, 0.5, "no program has a score yet", transform=axes.transAxes, ha="center")
        return
    for number, reset in enumerate(resets):
        label = None if number else "islands reset"
        axes.axvline(reset.after, color="#BBBBBB", linewidth=0.8, linestyle=":", label=label)
    dots = scored[:: -(-len(scored) // MAX_DOTS)]
    for island in sorted({island for _, _, island in dots if island >= 0}):
        own = [(x, y) for x, y, of in dots if of == island]
        colour = COLOURS[island % len(COLOURS)]
        axes.scatter(
            [x for x, _ in own],
            [y for _, y in own],
            s=6,
            color=colour,
            alpha=0.6,
            linewidths=0,
            label=f"island {island}",
        )
    best = list(accumulate((score for _, score, _ in scored), max))
    ids = [program for program, _, _ in scored]
    axes.step([*ids, points[-1].program], [*best, best[-1]], where="post", color="black", label=f"best: {best[-1]:.6g}")
    low = sorted(score for _, score, _ in scored)[len(scored) // 20]
    axes.set_ylim(bottom=low - 0.05 * (best[-1] - low) if best[-1] > low else None)
    axes.set_ylabel("score (without the lowest 5 %)")
    axes.legend(loc="lower right", fontsize="small", ncols=2, markerscale=2)


def _draw_statuses(axes: "Axes", points: Sequence[Point]) -> None:
    statuses = [
        (p.program, "duplicate" if p.duplicate and p.status is Status.OK else str(p.status)) for p in points[1:]
    ]
    if not statuses:
        return
    names = [name for name, _ in Counter(name for _, name in statuses).most_common(MAX_STATUSES)]
    width = max(1, -(-len(statuses) // SLICES))
    slices = [statuses[start : start + width] for start in range(0, len(statuses), width)]
    counts = [Counter(name if name in names else "other" for _, name in piece) for piece in slices]
    shown = [*names, "other"] if any("other" in count for count in counts) else names
    shares = [[100 * count[name] / count.total() for count in counts] for name in shown]
    axes.stackplot([piece[0][0] for piece in slices], shares, labels=shown, colors=COLOURS, step="post")
    axes.set_ylim(0, 100)
    axes.set_ylabel("statuses (%)")
    axes.legend(loc="lower right", fontsize="small", ncols=2)
