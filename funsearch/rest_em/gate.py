"""The gate: decides whether a policy is published, and whether another round follows.

Singh et al. (arXiv 2312.06585) continue while the held-out reward rises; on APPS the second round lowered it. This
module decides what counts as a rise, with a paired bootstrap over tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from funsearch.core.ranges import check_ranges
from funsearch.rest_em.measurement import SplitMeasurement
from funsearch.rest_em.records import Difference, Phase, Split
from funsearch.rest_em.statistics import paired_bootstrap

GATE_DRAWS = 21
"""Key of the gate's random draws, which keeps them apart from those of the filter."""

Measurement = Mapping[Split, SplitMeasurement]


class _Compare(Protocol):
    def __call__(self, split: Split, number: int, k: int | None = None) -> Difference: ...


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """What a policy must achieve to be published."""

    pass_at_1: Literal["greedy", "sampled"] = "greedy"
    """Which pass@1 decides: that of the greedy answer (as Singh et al. report), or the mean over sampled answers."""
    confidence: float = 0.95
    """Confidence level of the bootstrap intervals."""
    draws: int = 10_000
    """Number of bootstrap draws."""
    least_differing: int = 6
    """Minimum number of held-out tasks whose results differ. With 5, all of them improve by chance once in 32 times,
    which a bootstrap over so few tasks cannot detect."""
    gap_growth: float = 0.1
    """By how much the gap between pass@1 on training and on held-out tasks may exceed the best policy's."""
    always: bool = False
    """Publishes every policy regardless of its quality: for comparisons, not for use."""

    def __post_init__(self) -> None:
        check_ranges(self, counts=("draws", "least_differing"), shares=("confidence",), from_zero=("gap_growth",))


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's decision on a policy."""

    published: bool
    stop: str
    """Why no round follows: `no gain`, `transfer dropped`, `growing gap`, `falling pass@k`; empty if one may follow."""
    reason: str
    gain: Difference
    """On held-out pass@1."""


def decide(new: Measurement, best: Measurement, config: GateConfig, *, seed: int, round: int) -> Decision:
    """Returns whether `new` is significantly better than the best policy so far, and whether to train from it."""
    phase = Phase(config.pass_at_1)

    def compare(split: Split, number: int, k: int | None = None) -> Difference:
        ours, theirs = new[split], best[split]
        if k is None:
            values = ours.pass_at_1(phase), theirs.pass_at_1(phase)
        else:
            values = ours.pass_at_k(k), theirs.pass_at_k(k)
        rng = np.random.default_rng((seed, round, GATE_DRAWS, number))
        return paired_bootstrap(*values, rng, confidence=config.confidence, draws=config.draws)

    gain = compare(Split.HELDOUT, 0)
    reason = f"held-out pass@1 {gain.mean:+.4f} [{gain.lower:+.4f}, {gain.upper:+.4f}]"
    if config.always:
        return Decision(True, "", f"{reason}: published regardless of its quality, as gate.always is set", gain)
    if gain.lower <= 0:
        return Decision(False, "no gain", f"{reason}: not significantly above zero", gain)
    differing = int(np.count_nonzero(new[Split.HELDOUT].pass_at_1(phase) != best[Split.HELDOUT].pass_at_1(phase)))
    if differing < config.least_differing:
        return Decision(False, "no gain", f"{reason}: only {differing} held-out tasks differ, too few to decide", gain)
    if Split.TRANSFER in new and Split.TRANSFER in best:
        transfer = compare(Split.TRANSFER, 1)
        reason += f", transfer {transfer.mean:+.4f} [{transfer.lower:+.4f}, {transfer.upper:+.4f}]"
        if transfer.upper < 0:
            return Decision(False, "transfer dropped", f"{reason}: transfer dropped", gain)
    stop, caveat = _stop(new, best, compare, phase, config)
    return Decision(True, stop, f"{reason}{caveat}", gain)


def _stop(new: Measurement, best: Measurement, compare: _Compare, phase: Phase, config: GateConfig) -> tuple[str, str]:
    """Returns why no round follows a published policy, and the same as the end of a sentence; both may be empty."""
    k = min(new[Split.HELDOUT].k, best[Split.HELDOUT].k)
    difference = compare(Split.HELDOUT, 2, k)
    if difference.upper < 0:
        return "falling pass@k", f", but pass@{k} falls by {-difference.mean:.4f}"
    if Split.TRAIN in new and Split.TRAIN in best:
        growth = _gap(new, phase) - _gap(best, phase)
        if growth > config.gap_growth:
            return "growing gap", f", but the gap between training and held-out tasks grows by {growth:.4f}"
    return "", ""


def _gap(measurement: Measurement, phase: Phase) -> float:
    return float(measurement[Split.TRAIN].pass_at_1(phase).mean() - measurement[Split.HELDOUT].pass_at_1(phase).mean())
