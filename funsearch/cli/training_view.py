"""The live view of a training: a progress bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from funsearch.rest_em.records import Estimate, RoundRecord, Split
from funsearch.training.rounds import RoundProgress

LINE_SECONDS = 15.0
"""Interval between plain lines within a step."""


class TrainingView:
    """Shows the progress of a training on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console) if console.is_terminal else None
        self._task: TaskID | None = None
        self._step = ("", "")
        self._last = 0.0

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, progress: RoundProgress) -> None:
        """Shows the progress of the training."""
        step = (f"round {progress.round}", progress.step)
        text = f"{step[0]}: {progress.step} {progress.detail}".strip()
        if self._bar:
            if step != self._step or self._task is None:
                self._task = self._bar.add_task(text, total=progress.total or None)
            total = progress.total or None
            self._bar.update(self._task, description=text, completed=progress.done, total=total)
        elif step != self._step or time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self._console.print(f"{text}: {progress.done} of {progress.total}", soft_wrap=True)
        self._step = step

    def table(self, rounds: Sequence[RoundRecord], phase: str) -> Table:
        """Returns a table with one row per round; `phase` chooses the pass@1 to show, `greedy` or `sampled`."""
        table = Table("round", "samples", "correct", "selected", "held out", "train", "transfer", "pass@k", box=None)
        for record in rounds:
            cells = [
                _text(getattr(record.figures[split], phase)) if split in record.figures else "-"
                for split in (Split.HELDOUT, Split.TRAIN, Split.TRANSFER)
            ]
            heldout = record.figures[Split.HELDOUT]
            counts = (str(record.round), str(record.samples), str(record.correct), str(record.selected))
            table.add_row(*counts, *cells, f"{_text(heldout.pass_at_k)} (k={heldout.k})")
        return table


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ± {estimate.error:.3f}"
