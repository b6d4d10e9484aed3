"""A run's figures as Ray metrics, which Ray hands to Prometheus. Knows nothing about how they come about."""

from ray.util.metrics import Counter, Gauge

from funsearch.search.progress import Progress

COUNTS = {
    "samples": "Completions that the model gave",
    "evaluated": "Programs that the sandbox was asked about",
    "valid": "Programs that got a score",
    "duplicates": "Samples whose program had been evaluated before",
    "registered": "Programs that entered an island",
    "tokens": "Tokens of all completions",
}
STATES = {
    "best_score": "Best score so far",
    "asking": "Prompts with the samplers",
    "evaluating": "Programs with the evaluators",
    "samplers": "Samplers at work",
    "evaluators": "Evaluators at work",
}


class Metrics:
    """Reports the figures of one run; the totals from before a restart are not counted again."""

    def __init__(self, run: str) -> None:
        tags = {"run": run}
        self._counts = {name: Counter(f"funsearch_{name}", text, ("run",)) for name, text in COUNTS.items()}
        self._states = {name: Gauge(f"funsearch_{name}", text, ("run",)) for name, text in STATES.items()}
        self._statuses = Counter("funsearch_statuses", "Evaluations by their status", ("run", "status"))
        self._held_up = Gauge("funsearch_held_up", "1 while the search waits for its database", ("run",))
        for metric in (*self._counts.values(), *self._states.values(), self._statuses, self._held_up):
            metric.set_default_tags(tags)
        self._last: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Reports how the run stands."""
        last, self._last = self._last or progress, progress
        for name, counter in self._counts.items():
            if (more := getattr(progress, name) - getattr(last, name)) > 0:
                counter.inc(more)
        for name, gauge in self._states.items():
            if (value := getattr(progress, name)) is not None:
                gauge.set(value)
        for status, count in progress.statuses.items():
            if (more := count - last.statuses.get(status, 0)) > 0:
                self._statuses.inc(more, {"status": status})
        self._held_up.set(float(progress.trouble is not None))
