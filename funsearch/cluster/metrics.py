"""The figures of a run as Ray metrics, which Ray exports to Prometheus. Knows nothing about how they come about."""

from collections.abc import Callable, Mapping

from ray.util.metrics import Counter, Gauge

from funsearch.search.progress import Progress

Figure = tuple[str, Callable[[Progress], float | None]]
"""What a metric means, and its value."""

COUNTS: Mapping[str, Figure] = {
    "samples": ("Completions by the model", lambda progress: progress.samples),
    "evaluated": ("Programs that the sandbox evaluated", lambda progress: progress.evaluated),
    "valid": ("Programs with a score", lambda progress: progress.valid),
    "duplicates": ("Samples whose program had been evaluated before", lambda progress: progress.duplicates),
    "registered": ("Programs that entered an island", lambda progress: progress.registered),
    "tokens": ("Tokens of all completions", lambda progress: progress.tokens),
}
STATES: Mapping[str, Figure] = {
    "best_score": ("Best score so far", lambda progress: progress.best_score),
    "sampling": ("Prompts with the samplers", lambda progress: progress.sampling),
    "evaluating": ("Programs with the evaluators", lambda progress: progress.evaluating),
    "samplers": ("Samplers that are ready", lambda progress: progress.samplers),
    "evaluators": ("Evaluators that are ready", lambda progress: progress.evaluators),
    "waiting": ("1 while the search waits for its database", lambda progress: progress.trouble is not None),
}
STATUSES = "evaluations"
"""Name of the counter of evaluations by their status."""


class Metrics:
    """Reports the figures of one run; totals from before a restart are not counted again."""

    def __init__(self, run: str) -> None:
        self._counts = {name: Counter(f"funsearch_{name}", text, ("run",)) for name, (text, _) in COUNTS.items()}
        self._states = {name: Gauge(f"funsearch_{name}", text, ("run",)) for name, (text, _) in STATES.items()}
        self._statuses = Counter(f"funsearch_{STATUSES}", "Evaluations by their status", ("run", "status"))
        for metric in (*self._counts.values(), *self._states.values(), self._statuses):
            metric.set_default_tags({"run": run})
        self._last: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Reports the progress of the run."""
        last, self._last = self._last or progress, progress
        for name, (_, value_of) in COUNTS.items():
            if (new := (value_of(progress) or 0) - (value_of(last) or 0)) > 0:
                self._counts[name].inc(new)
        for name, (_, value_of) in STATES.items():
            if (value := value_of(progress)) is not None:
                self._states[name].set(float(value))
        for status, count in progress.statuses.items():
            if (new := count - last.statuses.get(status, 0)) > 0:
                self._statuses.inc(new, {"status": status})
