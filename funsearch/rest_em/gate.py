"""The gate: whether a policy is published, and whether another round shall follow.

Singh et al. (arXiv 2312.06585) go on while the held-out reward rises; on APPS the second round made it fall. What
"rises" means is decided here, by a paired bootstrap over tasks.
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
"""Keeps these draws apart from those of the selection."""

Measurement = Mapping[Split, SplitMeasurement]


class _Compare(Protocol):
    def __call__(self, split: Split, number: int, k: int | None = None) -> Difference: ...


@dataclass(frozen=True)
class GateConfig:
    """What the gate asks for."""

    pass_at_1: Literal["greedy", "sampled"] = "greedy"
    """Which pass@1 decides: of the likeliest answer (as Singh et al. report), or the mean over drawn answers."""
    confidence: float = 0.95
    draws: int = 10_000
    least_differing: int = 6
    """Held-out tasks that must differ. With 5, all better by luck happens once in 32 times, and a bootstrap of so few
    does not know."""
    gap_growth: float = 0.1
    """By how much the gap between pass@1 on train and on held-out tasks may grow over the best policy's."""
    always: bool = False
    """Publishes every policy, whatever it is worth: for comparisons, not for use."""

    def __post_init__(self) -> None:
        check_ranges(self, counts=("draws", "least_differing"), shares=("confidence",), from_zero=("gap_growth",))


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of a policy."""

    published: bool
    stop: str
    """Why no round shall follow: `no gain`, `transfer dropped`, `growing gap`, `falling pass@k`; empty if one may."""
    reason: str
    gain: Difference
    """On held-out pass@1."""


def decide(new: Measurement, best: Measurement, config: GateConfig, *, seed: int, round: int) -> Decision:
    """Returns whether `new` is better than the best policy so far beyond doubt, and whether to go on from it."""
    how = Phase(config.pass_at_1)

    def compare(split: Split, number: int, k: int | None = None) -> Difference:
        one, other = new[split], best[split]
        values = (one.pass_at_1(how), other.pass_at_1(how)) if k is None else (one.pass_at_k(k), other.pass_at_k(k))
        rng = np.random.default_rng((seed, round, GATE_DRAWS, number))
        return paired_bootstrap(*values, rng, confidence=config.confidence, draws=config.draws)

    gain = compare(Split.HELDOUT, 0)
    said = f"held-out pass@1 {gain.mean:+.4f} [{gain.lower:+.4f}, {gain.upper:+.4f}]"
    if config.always:
        return Decision(True, "", f"{said}: published whatever it is worth, as gate.always says", gain)
    if gain.lower <= 0:
        return Decision(False, "no gain", f"{said}: not above zero beyond doubt", gain)
    differing = int(np.count_nonzero(new[Split.HELDOUT].pass_at_1(how) != best[Split.HELDOUT].pass_at_1(how)))
    if differing < config.least_differing:
        return Decision(False, "no gain", f"{said}: only {differing} held-out tasks differ, too few to tell", gain)
    if Split.TRANSFER in new and Split.TRANSFER in best:
        transfer = compare(Split.TRANSFER, 1)
        said += f", transfer {transfer.mean:+.4f} [{transfer.lower:+.4f}, {transfer.upper:+.4f}]"
        if transfer.upper < 0:
            return Decision(False, "transfer dropped", f"{said}: transfer dropped", gain)
    stop = _why_stop(new, best, compare, how, config)
    return Decision(True, stop[0], f"{said}{stop[1]}", gain)


def _why_stop(
    new: Measurement, best: Measurement, compare: _Compare, how: Phase, config: GateConfig
) -> tuple[str, str]:
    k = min(new[Split.HELDOUT].k, best[Split.HELDOUT].k)
    passed = compare(Split.HELDOUT, 2, k)
    if passed.upper < 0:
        return "falling pass@k", f", but pass@{k} falls by {-passed.mean:.4f}"
    if Split.TRAIN in new and Split.TRAIN in best:
        growth = _gap(new, how) - _gap(best, how)
        if growth > config.gap_growth:
            return "growing gap", f", but the gap between train and held-out tasks grows by {growth:.4f}"
    return "", ""


def _gap(measured: Measurement, how: Phase) -> float:
    return float(measured[Split.TRAIN].pass_at_1(how).mean() - measured[Split.HELDOUT].pass_at_1(how).mean())
