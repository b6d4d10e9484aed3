"""A progress bar for searches that are started from Python, on a terminal or in a notebook."""

import sys
from typing import Self

from funsearch.search.loop import Budget
from funsearch.search.progress import Progress


class ProgressBar:
    """Shows samples, valid programs and the best score until it is closed."""

    def __init__(self, budget: Budget, shown: bool | None) -> None:
        """Opens the bar.

        Args:
            budget: of the search; its limit of samples is the length of the bar.
            shown: whether to show it; None: on a terminal and in a notebook.
        """
        from tqdm.auto import tqdm

        visible = _has_reader() if shown is None else shown
        self._bar = tqdm(total=budget.samples, unit=" samples", disable=not visible, dynamic_ncols=True)

    def show(self, progress: Progress) -> None:
        """Updates the bar."""
        self._bar.update(progress.samples - self._bar.n)
        best = "-" if progress.best_score is None else f"{progress.best_score:.6g}"
        self._bar.set_postfix_str(f"valid {progress.valid}, best {best}", refresh=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.close()


def _has_reader() -> bool:
    return "ipykernel" in sys.modules or sys.stderr.isatty()
