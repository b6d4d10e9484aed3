"""The live view of a search: a table that is updated in place on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from funsearch.search.loop import Budget
from funsearch.search.progress import Progress
from funsearch.text import with_reason

LINE_SECONDS = 15.0
"""Interval between plain lines."""


class LiveView:
    """Shows the progress of a search on a console."""

    def __init__(self, console: Console, budget: Budget) -> None:
        self._console = console
        self._budget = budget
        self._live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
        self._last_line = 0.0
        self._best: int | None = None
        self._trouble: str | None = None
        self._trained: str | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, progress: Progress | None) -> None:
        """Shows the progress of the search; None while its process is starting."""
        if self._live:
            self._live.update(_panel(progress, self._budget))
        elif progress is not None:
            self._lines(progress)

    def _lines(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.best_program is not None and progress.best_program != self._best:
            self._best = progress.best_program
            self._console.print(f"best {progress.best_score:.6g} (program {progress.best_program})")
        if progress.trouble != self._trouble:
            self._trouble = progress.trouble
            self._console.print(f"waiting: {progress.trouble}" if progress.trouble else "resumed", soft_wrap=True)
        if progress.trained != self._trained:
            self._trained = progress.trained
            self._console.print(f"training, {progress.trained}", soft_wrap=True)
        if now - self._last_line >= LINE_SECONDS or progress.state not in ("starting", "running", "waiting"):
            self._last_line = now
            self._console.print(line(progress, self._budget), soft_wrap=True)


def line(progress: Progress, budget: Budget) -> str:
    """Returns the progress as one line."""
    best = "-" if progress.best_score is None else f"{progress.best_score:.6g}"
    cost = "" if progress.cost is None else f"cost {progress.cost:.4g}, "
    training = f", training {progress.training}" if progress.training else ""
    return (
        f"{with_reason(progress.state, progress.stopped)}: {progress.samples} samples "
        f"({rate(progress.session_samples, progress)}/s, "
        f"{rate(progress.session_tokens, progress)} tokens/s), {share(progress.valid, progress)} valid, "
        f"{share(progress.duplicates, progress)} duplicates, best {best}, {cost}"
        f"{time_left(progress, budget)}{training}"
    )


def rate(count: int, progress: Progress) -> str:
    """Returns `count` per second of this session."""
    return f"{count / progress.seconds:.1f}" if progress.seconds > 0 else "0"


def share(count: int, progress: Progress) -> str:
    """Returns `count` as a share of all samples."""
    return f"{100 * count / progress.samples:.0f} %" if progress.samples else "-"


def time_left(progress: Progress, budget: Budget) -> str:
    """Returns the time until the budget is used up, at the present rate."""
    remaining = []
    if budget.minutes is not None:
        remaining.append(budget.minutes * 60 - progress.seconds)
    if budget.samples is not None and progress.session_samples:
        remaining.append((budget.samples - progress.samples) * progress.seconds / progress.session_samples)
    if not remaining:
        return f"{progress.seconds:.0f} s so far"
    seconds = max(0, int(min(remaining)))
    return f"{seconds // 60}:{seconds % 60:02d} left"


def _panel(progress: Progress | None, budget: Budget) -> RenderableType:
    if progress is None:
        return Text("Starting Ray and the driver ...")
    if progress.trouble:
        head = Text(f"Waiting: {progress.trouble}", style="bold yellow")
    elif progress.state == "running" and not progress.samples:
        head = Text(f"Loading the model ({progress.seconds:.0f} s) ...")
    else:
        head = Text(line(progress, budget))
    table = Table("island", "programs", "clusters", "resets", "best score", box=None, header_style="bold")
    for number, island in enumerate(progress.islands):
        best = "-" if island.best_score is None else f"{island.best_score:.6g}"
        style = "bold green" if island.best_score is not None and island.best_score == progress.best_score else ""
        cells = (str(number), str(island.programs), str(island.clusters), str(island.resets), best)
        table.add_row(*cells, style=style)
    statuses = ", ".join(
        f"{status} {count}" for status, count in sorted(progress.statuses.items(), key=lambda p: -p[1])
    )
    work = (
        f"{progress.samplers} samplers with {progress.sampling} prompts, "
        f"{progress.evaluators} evaluators with {progress.evaluating} programs"
    )
    trained = [Text(f"training, {progress.trained}")] if progress.trained else []
    return Group(head, table, Text(f"statuses: {statuses or '-'}"), Text(work), *trained)
