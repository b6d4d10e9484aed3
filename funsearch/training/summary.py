"""A training and its rounds as plain figures, for JSON and for pictures. Knows no database."""

from collections.abc import Sequence
from typing import Any

from funsearch.rest_em.records import RoundRecord, Split

RECOVERABLE = "rounds"
"""State of a training that has had all rounds it was asked for, and may be asked for more."""


def summary(name: str, rounds: Sequence[RoundRecord], how: str) -> dict[str, Any]:
    """Returns the object that `funsearch train --json` prints."""
    published = [record for record in rounds if record.published]
    best = max(published, key=lambda record: record.round) if published else None
    return {
        "name": name,
        "rounds": [round_summary(record, how) for record in rounds],
        "best_round": best.round if best else None,
        "policy": best.policy if best else None,
        "stopped": (rounds[-1].stop or RECOVERABLE) if rounds else None,
    }


def round_summary(record: RoundRecord, how: str) -> dict[str, Any]:
    """Returns a round in figures; `how` says which pass@1 is meant, `greedy` or `sampled`."""
    one = {split: getattr(figures, how) for split, figures in record.figures.items()}
    held = record.figures[Split.HELDOUT]
    gain = record.gain
    return {
        "round": record.round,
        "samples": record.samples,
        "correct": record.correct,
        "selected": record.selected,
        "heldout_pass1": one[Split.HELDOUT].value,
        "heldout_pass1_se": one[Split.HELDOUT].error,
        "train_pass1": one[Split.TRAIN].value if Split.TRAIN in one else None,
        "transfer_pass1": one[Split.TRANSFER].value if Split.TRANSFER in one else None,
        "published": record.published,
        "train_pass1_se": one[Split.TRAIN].error if Split.TRAIN in one else None,
        "transfer_pass1_se": one[Split.TRANSFER].error if Split.TRANSFER in one else None,
        "heldout_greedy": held.greedy.value,
        "heldout_sampled": held.sampled.value,
        "heldout_sampled_se": held.sampled.error,
        "heldout_passk": held.pass_at_k.value,
        "heldout_majorityk": held.majority_at_k.value,
        "k": held.k,
        "gain": None if gain is None else [gain.mean, gain.lower, gain.upper],
        "policy": record.policy,
        "reason": record.reason,
    }
