"""What the snapshots of a run tell: its course as charts, and its figures. Knows nothing about where they come from."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from funsearch.core.records import Reset, Snapshot
from funsearch.web.charts import Chart, Series, areas, lines

SPANS = 60
"""Stretches of a run for which shares and rates are shown."""
DRAWN = 300
"""Snapshots that a line is drawn through."""
FEWEST = 20
"""Samples of a stretch, where there are enough: of fewer a share says little."""
EARLY = 0.05
"""Part of a run whose low scores are cut off, so that the later ones can be told apart."""
MOST_WORDS = 7
"""Statuses shown by their words; the rarer ones together."""


@dataclass(frozen=True, slots=True)
class Span:
    """What happened between two snapshots."""

    samples: int
    """Up to its end, over the run's life."""
    new: int
    valid: int
    duplicates: int
    tokens: int
    statuses: Mapping[str, int]
    seconds: float
    """Of work; the time between two sessions does not count."""

    @property
    def failed(self) -> int:
        """Returns how many samples had no usable program in them."""
        return max(0, sum(self.statuses.values()) - self.valid - self.duplicates)


def charts(snapshots: Sequence[Snapshot], resets: Sequence[Reset]) -> list[Chart]:
    """Returns the charts of a run."""
    parts = spans(snapshots)
    marks = [at for reset in resets if (at := _samples_at(snapshots, reset.after)) is not None]
    return [
        lines(
            "scores",
            "Best score",
            "samples",
            scores(snapshots),
            marks=marks,
            mark_label="resets",
            low=_low(snapshots),
            stepped=True,
        ),
        lines(
            "outcomes",
            "Of 100 samples",
            "samples",
            [
                _shares("valid", parts, lambda span: span.valid),
                _shares("known already", parts, lambda span: span.duplicates),
                _shares("failed", parts, lambda span: span.failed),
            ],
            low=0.0,
        ),
        areas("statuses", "Evaluation status, %", "samples", _statuses(parts)),
        lines("samples", "Samples a second", "samples", [_rate("samples/s", parts, lambda s: s.new)], low=0.0),
        lines("tokens", "Tokens a second", "samples", [_rate("tokens/s", parts, lambda s: s.tokens)], low=0.0),
    ]


def scores(snapshots: Sequence[Snapshot]) -> list[Series]:
    """Returns the best score of each island over the samples."""
    some = _drawn(snapshots)
    count = len(some[-1].islands) if some else 0
    return [
        Series(f"island {number}", [(s.samples, s.islands[number].best_score) for s in some]) for number in range(count)
    ]


def best_score(label: str, snapshots: Sequence[Snapshot]) -> Series:
    """Returns the best score of a run over the samples."""
    return Series(label, [(s.samples, s.best_score) for s in _drawn(snapshots)])


def _low(snapshots: Sequence[Snapshot]) -> float | None:
    """Returns the lowest score that is worth its place in a chart."""
    late = [s for s in snapshots if s.samples >= EARLY * snapshots[-1].samples]
    return min((i.best_score for s in late for i in s.islands if i.best_score is not None), default=None)


def spans(snapshots: Sequence[Snapshot]) -> list[Span]:
    """Returns the stretches between some of the snapshots, about equally many samples each."""
    if not snapshots:
        return []
    samples = snapshots[-1].samples
    some = _some(snapshots, max(samples / SPANS, min(FEWEST, samples / 8)))
    return [_span(one, other) for one, other in pairwise(some)]


def _drawn(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    return _some(snapshots, snapshots[-1].samples / DRAWN if snapshots else 0.0)


def _some(snapshots: Sequence[Snapshot], width: float) -> list[Snapshot]:
    """Returns the first snapshot, the last, and between them those that are `width` samples apart."""
    chosen = list(snapshots[:1])
    for snapshot in snapshots[1:]:
        new = snapshot.samples - chosen[-1].samples
        if new > 0 and (new >= width or snapshot is snapshots[-1]):
            chosen.append(snapshot)
    return chosen


def _span(one: Snapshot, other: Snapshot) -> Span:
    # A new session counts its seconds from nought; those at the end of the one before are not known.
    seconds = other.seconds - one.seconds if other.seconds >= one.seconds else other.seconds
    return Span(
        other.samples,
        other.samples - one.samples,
        other.valid - one.valid,
        other.duplicates - one.duplicates,
        _tokens(other) - _tokens(one),
        {word: count - one.statuses.get(word, 0) for word, count in other.statuses.items()},
        seconds,
    )


def _tokens(snapshot: Snapshot) -> int:
    return sum(used.tokens for used in snapshot.usage.values())


def _samples_at(snapshots: Sequence[Snapshot], evaluations: int) -> int | None:
    """Returns how many samples there were when that many evaluations had been registered."""
    return next((s.samples for s in snapshots if s.evaluations >= evaluations), None)


def _shares(label: str, parts: Sequence[Span], count: Callable[[Span], int]) -> Series:
    judged = [(span, sum(span.statuses.values())) for span in parts]
    return Series(label, [(span.samples, 100 * count(span) / all if all else None) for span, all in judged])


def _statuses(parts: Sequence[Span]) -> list[Series]:
    """Returns the shares of the statuses, the most frequent first, the rarest together."""
    counts: Counter[str] = Counter()
    for span in parts:
        counts.update(span.statuses)
    words = [word for word, _ in counts.most_common()]
    named = words if len(words) <= MOST_WORDS else words[: MOST_WORDS - 1]
    judged = [span for span in parts if sum(span.statuses.values())]

    def share(label: str, of: Collection[str]) -> Series:
        return _shares(label, judged, lambda span: sum(span.statuses.get(word, 0) for word in of))

    others = [share("others", words[len(named) :])] if len(named) < len(words) else []
    return [share(word, [word]) for word in named] + others


def _rate(label: str, parts: Sequence[Span], count: Callable[[Span], int]) -> Series:
    return Series(label, [(span.samples, count(span) / span.seconds if span.seconds > 0 else None) for span in parts])
