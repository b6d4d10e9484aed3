"""Charts and figures of a run's progress, computed from its snapshots. Knows nothing about where those are stored."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from funsearch.core.records import Reset, Snapshot
from funsearch.web.charts import Chart, Series, areas, lines

MAX_SPANS = 60
"""Spans of a run for which shares and rates are computed."""
MAX_POINTS = 300
"""Snapshots that a line is drawn through."""
MIN_SPAN_SAMPLES = 20
"""Samples of a span in a run that has enough of them: a share of fewer says little."""
EARLY_PART = 0.05
"""Part of a run whose low scores are cut off, so that later scores can be told apart."""
MAX_STATUSES = 7
"""Evaluation statuses shown by name; the rarer ones are shown together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What happened between two snapshots."""

    samples: int
    """Samples up to the end of the span, over the run's whole life."""
    new: int
    """Samples within the span."""
    valid: int
    duplicates: int
    tokens: int
    statuses: Mapping[str, int]
    seconds: float
    """Running time; the time between two sessions does not count."""

    @property
    def failed(self) -> int:
        """Number of samples without a usable program."""
        return max(0, self.judged - self.valid - self.duplicates)

    @property
    def judged(self) -> int:
        """Number of samples that have a status."""
        return sum(self.statuses.values())


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
            "Outcomes, % of samples",
            "samples",
            [
                _shares("valid", parts, lambda span: span.valid),
                _shares("duplicate", parts, lambda span: span.duplicates),
                _shares("failed", parts, lambda span: span.failed),
            ],
            low=0.0,
        ),
        areas("statuses", "Evaluation status, % of samples", "samples", _statuses(parts)),
        lines("samples", "Samples per second", "samples", [_rate("samples/s", parts, lambda s: s.new)], low=0.0),
        lines("tokens", "Tokens per second", "samples", [_rate("tokens/s", parts, lambda s: s.tokens)], low=0.0),
    ]


def scores(snapshots: Sequence[Snapshot]) -> list[Series]:
    """Returns the best score of each island over the samples."""
    drawn = _drawn(snapshots)
    count = len(drawn[-1].islands) if drawn else 0
    return [
        Series(f"island {number}", [(s.samples, s.islands[number].best_score) for s in drawn])
        for number in range(count)
    ]


def best_score(label: str, snapshots: Sequence[Snapshot]) -> Series:
    """Returns the best score of a run over the samples."""
    return Series(label, [(snapshot.samples, snapshot.best_score) for snapshot in _drawn(snapshots)])


def spans(snapshots: Sequence[Snapshot]) -> list[Span]:
    """Returns spans between some of the snapshots, each with about the same number of samples."""
    if not snapshots:
        return []
    samples = snapshots[-1].samples
    chosen = _spaced(snapshots, max(samples / MAX_SPANS, min(MIN_SPAN_SAMPLES, samples / 8)))
    return [_span(start, end) for start, end in pairwise(chosen)]


def _low(snapshots: Sequence[Snapshot]) -> float | None:
    """Returns the lowest score that a chart should include."""
    late = [snapshot for snapshot in snapshots if snapshot.samples >= EARLY_PART * snapshots[-1].samples]
    return min((i.best_score for s in late for i in s.islands if i.best_score is not None), default=None)


def _drawn(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    return _spaced(snapshots, snapshots[-1].samples / MAX_POINTS if snapshots else 0.0)


def _spaced(snapshots: Sequence[Snapshot], width: float) -> list[Snapshot]:
    """Returns the first snapshot, the last, and snapshots in between that are `width` samples apart."""
    chosen = list(snapshots[:1])
    for snapshot in snapshots[1:]:
        new = snapshot.samples - chosen[-1].samples
        if new > 0 and (new >= width or snapshot is snapshots[-1]):
            chosen.append(snapshot)
    return chosen


def _span(start: Snapshot, end: Snapshot) -> Span:
    # Each session counts its seconds from zero; those after the last snapshot of a session are unknown.
    seconds = end.seconds - start.seconds if end.seconds >= start.seconds else end.seconds
    return Span(
        samples=end.samples,
        new=end.samples - start.samples,
        valid=end.valid - start.valid,
        duplicates=end.duplicates - start.duplicates,
        tokens=_tokens(end) - _tokens(start),
        statuses={status: count - start.statuses.get(status, 0) for status, count in end.statuses.items()},
        seconds=seconds,
    )


def _tokens(snapshot: Snapshot) -> int:
    return sum(usage.tokens for usage in snapshot.usage.values())


def _samples_at(snapshots: Sequence[Snapshot], evaluations: int) -> int | None:
    """Returns the number of samples at the time when that many evaluations had been registered."""
    return next((s.samples for s in snapshots if s.evaluations >= evaluations), None)


def _shares(label: str, parts: Sequence[Span], count: Callable[[Span], int]) -> Series:
    return Series(label, [(s.samples, 100 * count(s) / s.judged if s.judged else None) for s in parts])


def _statuses(parts: Sequence[Span]) -> list[Series]:
    """Returns the shares of the evaluation statuses, the most frequent first, the rarest together."""
    counts: Counter[str] = Counter()
    for span in parts:
        counts.update(span.statuses)
    statuses = [status for status, _ in counts.most_common()]
    named = statuses if len(statuses) <= MAX_STATUSES else statuses[: MAX_STATUSES - 1]
    judged = [span for span in parts if span.judged]

    def share(label: str, group: Collection[str]) -> Series:
        return _shares(label, judged, lambda span: sum(span.statuses.get(status, 0) for status in group))

    others = [share("others", statuses[len(named) :])] if len(named) < len(statuses) else []
    return [share(status, [status]) for status in named] + others


def _rate(label: str, parts: Sequence[Span], count: Callable[[Span], int]) -> Series:
    return Series(label, [(span.samples, count(span) / span.seconds if span.seconds > 0 else None) for span in parts])
