"""A training as a picture and as Markdown: pass@1 of every round with its standard error. Knows no database."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from funsearch.rest_em.records import Estimate, RoundRecord, Split, TrainingRecord
from funsearch.search.plotting import blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {Split.HELDOUT: "held out", Split.TRAIN: "trained on", Split.TRANSFER: "transfer"}


def picture(name: str, rounds: Sequence[RoundRecord], how: str) -> "Figure":
    """Returns pass@1 over the rounds; `how` says which, `greedy` or `sampled`. Hollow points were not published.

    Raises:
        FunsearchError: matplotlib is not installed.
    """
    figure = blank(7, 4.5)
    axes = figure.subplots()
    for number, (split, label) in enumerate(NAMES.items()):
        here = [record for record in rounds if split in record.figures]
        if not here:
            continue
        values: list[Estimate] = [getattr(record.figures[split], how) for record in here]
        axes.errorbar(
            [record.round for record in here],
            [one.value for one in values],
            [one.error for one in values],
            label=label,
            capsize=3,
            color=f"C{number}",
        )
        for record, one in zip(here, values, strict=True):
            axes.plot(record.round, one.value, "o", color=f"C{number}", mfc=None if record.published else "white")
    axes.set_xticks([record.round for record in rounds])
    axes.set(xlabel="round (0: the base model)", ylabel=f"pass@1 ({how}), ± standard error", title=name)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def markdown(record: TrainingRecord, rounds: Sequence[RoundRecord], how: str) -> str:
    """Returns the training as a page."""
    lines = [
        f"# {record.name}",
        "",
        f"Tasks `{record.tasks}`, model `{record.model}`, seed {record.settings.get('seed', 0)}. Figures are pass@1 "
        f"({how}) ± standard error over tasks.",
        "",
        "| round | answers | right | selected | held out | trained on | transfer | pass@k | majority@k | published |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rounds:
        held = one.figures[Split.HELDOUT]
        cells = [str(one.round), str(one.samples), str(one.correct), str(one.selected)]
        cells += [_shown(getattr(one.figures[split], how)) if split in one.figures else "-" for split in NAMES]
        cells += [
            f"{_shown(held.pass_at_k)} (k={held.k})",
            _shown(held.majority_at_k),
            "yes" if one.published else "no",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *(f"- Round {one.round}: {one.reason}." for one in rounds), ""]
    return "\n".join(lines)


def _shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ± {estimate.error:.3f}"
