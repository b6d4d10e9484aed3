"""A training and its rounds as plain figures, for JSON and for pictures. Knows nothing about the database."""

from collections.abc import Sequence

from funsearch.rest_em.records import Estimate, RoundRecord, Split

ALL_ROUNDS = "rounds"
"""Why a training stopped that has completed the requested rounds; it can be resumed with more."""


def summary(name: str, rounds: Sequence[RoundRecord], phase: str) -> dict[str, object]:
    """Returns the object that `funsearch train --json` prints; `phase` is as in `round_summary`."""
    published = [record for record in rounds if record.published]
    best = max(published, key=lambda record: record.round) if published else None
    return {
        "name": name,
        "rounds": [round_summary(record, phase) for record in rounds],
        "best_round": best.round if best else None,
        "policy": best.policy if best else None,
        "stopped": (rounds[-1].stop or ALL_ROUNDS) if rounds else None,
    }


def round_summary(record: RoundRecord, phase: str) -> dict[str, object]:
    """Returns the figures of a round; `phase` chooses the pass@1 to report, `greedy` or `sampled`."""
    estimates: dict[str, Estimate] = {split: getattr(figures, phase) for split, figures in record.figures.items()}
    heldout = record.figures[Split.HELDOUT]
    train, transfer = estimates.get(Split.TRAIN), estimates.get(Split.TRANSFER)
    gain = record.gain
    return {
        "round": record.round,
        "samples": record.samples,
        "correct": record.correct,
        "selected": record.selected,
        "heldout_pass1": estimates[Split.HELDOUT].value,
        "heldout_pass1_se": estimates[Split.HELDOUT].error,
        "train_pass1": train.value if train else None,
        "transfer_pass1": transfer.value if transfer else None,
        "published": record.published,
        "train_pass1_se": train.error if train else None,
        "transfer_pass1_se": transfer.error if transfer else None,
        "heldout_greedy": heldout.greedy.value,
        "heldout_sampled": heldout.sampled.value,
        "heldout_sampled_se": heldout.sampled.error,
        "heldout_passk": heldout.pass_at_k.value,
        "heldout_majorityk": heldout.majority_at_k.value,
        "k": heldout.k,
        "gain": None if gain is None else [gain.mean, gain.lower, gain.upper],
        "policy": record.policy,
        "reason": record.reason,
    }
