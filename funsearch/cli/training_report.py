"""Renders a training as a picture or as Markdown: pass@1 of every round with its standard error."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from funsearch.rest_em.records import Estimate, RoundRecord, Split, TrainingRecord
from funsearch.search.plotting import blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {Split.HELDOUT: "held out", Split.TRAIN: "trained on", Split.TRANSFER: "transfer"}


def picture(name: str, rounds: Sequence[RoundRecord], phase: str) -> "Figure":
    """Returns a plot of pass@1 (`phase`: `greedy` or `sampled`) over the rounds; hollow points were not published.

    Raises:
        FunsearchError: matplotlib is not installed.
    """
    figure = blank(7, 4.5)
    axes = figure.subplots()
    for number, (split, label) in enumerate(LABELS.items()):
        measured = [record for record in rounds if split in record.figures]
        if not measured:
            continue
        estimates: list[Estimate] = [getattr(record.figures[split], phase) for record in measured]
        axes.errorbar(
            [record.round for record in measured],
            [estimate.value for estimate in estimates],
            [estimate.error for estimate in estimates],
            label=label,
            capsize=3,
            color=f"C{number}",
        )
        for record, estimate in zip(measured, estimates, strict=True):
            fill = None if record.published else "white"
            axes.plot(record.round, estimate.value, "o", color=f"C{number}", mfc=fill)
    axes.set_xticks([record.round for record in rounds])
    axes.set(xlabel="round (0: the base model)", ylabel=f"pass@1 ({phase}), ± standard error", title=name)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def markdown(record: TrainingRecord, rounds: Sequence[RoundRecord], phase: str) -> str:
    """Returns a report of the training in Markdown; `phase` chooses the pass@1 to report, `greedy` or `sampled`."""
    lines = [
        f"# {record.name}",
        "",
        f"Tasks `{record.tasks}`, model `{record.model}`, seed {record.settings.get('seed', 0)}. Figures are pass@1 "
        f"({phase}) ± standard error over tasks.",
        "",
        "| round | answers | correct | selected | held out | trained on | transfer | pass@k | majority@k | published |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rounds:
        heldout = row.figures[Split.HELDOUT]
        cells = [str(row.round), str(row.samples), str(row.correct), str(row.selected)]
        cells += [_text(getattr(row.figures[split], phase)) if split in row.figures else "-" for split in LABELS]
        cells += [
            f"{_text(heldout.pass_at_k)} (k={heldout.k})",
            _text(heldout.majority_at_k),
            "yes" if row.published else "no",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- Round {row.round}: {row.reason}." for row in rounds), ""]
    return "\n".join(lines)


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ± {estimate.error:.3f}"
